package control

import (
	"net/http"
	"strconv"
)

// serveOwn answers what is weir's own on this address: whether the process
// lives and whether it can work, open to everybody who reaches the address.
func (d *Door) serveOwn(w http.ResponseWriter, r *http.Request, path string) {
	status, body := http.StatusNotFound, `{"message":"Not Found"}`
	switch path {
	case "/_weir/health":
		status, body = http.StatusOK, `{"status":"ok"}`
	case "/_weir/ready":
		status, body = http.StatusOK, `{"status":"ready"}`
		if d.o.Ready != nil {
			if err := d.o.Ready(); err != nil {
				// The cause may name paths and addresses: it is for the log.
				d.o.Logger.Warn("not ready", "error", err)
				status, body = http.StatusServiceUnavailable, `{"status":"unavailable"}`
			}
		}
	}
	if status != http.StatusNotFound && r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		status, body = http.StatusMethodNotAllowed, `{"message":"Method Not Allowed"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body)) // the caller may be gone; nothing is left to tell it
	}
}
