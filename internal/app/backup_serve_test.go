package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBackupsOneAtATime: a second backup is refused while one is made, and the
// route takes no request that a page or a crawler would make.
func TestBackupsOneAtATime(t *testing.T) {
	a := &App{}
	ask := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		only(http.MethodPost, a.serveBackup).ServeHTTP(w, httptest.NewRequest(method, backupPath, nil))
		return w
	}
	if w := ask(http.MethodGet); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d %s", w.Code, w.Body)
	}
	a.backup.Lock()
	if w := ask(http.MethodPost); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "try again when it is done") {
		t.Errorf("beside another: %d %s", w.Code, w.Body)
	}
}
