package lambda

import (
	"errors"
	"testing"

	"weir/internal/control/protocol"
)

// TestZippedSize asks below the wire: 70 MB of base64 add nothing to it.
func TestZippedSize(t *testing.T) {
	checked := errors.New("checked")
	a := &api{Options{CheckZip: func([]byte) error { return checked }}}
	_, err := a.zip(&codeSource{ZipFile: make([]byte, 52428799)})
	var e *protocol.Error
	if !errors.As(err, &e) || e.Message != "checked" {
		t.Errorf("one byte less: %v", err)
	}
	_, err = a.zip(&codeSource{ZipFile: make([]byte, 52428800)})
	if !errors.As(err, &e) || e.Status != 413 || e.Code != "RequestEntityTooLargeException" ||
		e.Message != "Zipped size must be smaller than 52428800 bytes" {
		t.Errorf("the limit: %v", err)
	}
}
