package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestUnsignedUploadIsNotRead: who has no access key cannot have the control
// address keep 60 MB for him: he is refused at the body's beginning.
func TestUnsignedUploadIsNotRead(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	c, err := net.Dial("tcp", strings.TrimPrefix(s.control, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = fmt.Fprintf(c, "POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n%s", strings.Repeat("z", 16<<10))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 403 || !resp.Close || !strings.Contains(string(text), "Missing Authentication Token") {
		t.Errorf("got %s, close %v: %s", resp.Status, resp.Close, text)
	}
}
