package app

import (
	"encoding/json"
	"net/http"
)

// The routes of weir's own on the control address that are made here; they
// answer root, and codePath who holds a link too.
const (
	backupPath   = "/_weir/backup"
	codePath     = "/_weir/code" // a function's zip, "?sha256=" names which
	requestsPath = "/_weir/requests"
	shadowPath   = "/_weir/shadow"
	statsPath    = "/_weir/stats"
)

// only lets one method through to a handler: what changes or costs something is
// not done by a request that a page or a crawler would make.
func only(method string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			answerOwn(w, http.StatusMethodNotAllowed, "use "+method)
			return
		}
		h(w, r)
	})
}

// answerOwn answers with a sentence, mostly about what is wrong.
func answerOwn(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	text, err := json.Marshal(map[string]string{"message": message})
	if err == nil {
		_, _ = w.Write(text) // the caller may be gone
	}
}
