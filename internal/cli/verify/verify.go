// Package verify holds an endpoint, ours or anybody's, to what a key and a
// usage plan promise, by calling it from outside.
package verify
