package app

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"weir/internal/catalog"
	"weir/internal/control"
	"weir/internal/sigv4"
)

// codeURLLife is how long a link to code is good, as on AWS.
const codeURLLife = 10 * time.Minute

// codeURL gives a link to a function's zip that curl can follow without a
// signature of its own: it is presigned for this zip, on the host that the
// caller reached us by.
func (a *App) codeURL(fn catalog.Function, host string) string {
	r := sigv4.Request{
		Method: http.MethodGet, Path: codePath, Query: "sha256=" + url.QueryEscape(fn.CodeSHA256), Host: host,
	}
	query := sigv4.Presign(r, sigv4.Credentials{AccessKeyID: a.root.ID, SecretKey: a.root.Secret},
		a.o.Region, control.OwnService, time.Now(), codeURLLife)
	scheme := "http://"
	if a.toolsCert != nil && host != a.localAddr.Addr().String() {
		scheme = "https://"
	}
	return scheme + host + codePath + "?" + query
}

// serveCode answers root, or who holds a link, with a zip.
func (a *App) serveCode(w http.ResponseWriter, r *http.Request) {
	zip, err := a.store.Code(r.Context(), r.URL.Query().Get("sha256"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		answerOwn(w, http.StatusNotFound, "There is no such code: ask GetFunction for a new Location")
		return
	case err != nil:
		a.o.Logger.Error("sending a function's code", "error", err)
		answerOwn(w, http.StatusInternalServerError, "Internal Failure")
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(zip)))
	_, _ = w.Write(zip) // the caller may be gone
}
