package protocol

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Sizes of a page.
const (
	defaultPage = 25
	largestPage = 500
)

// Page cuts one page out of items (ordered), default 25, at most 500; position
// is the opaque token of the page before and key names an item in it. next is
// "" on the last page. A token whose item is gone continues at the item's
// place; a token that is none begins at the first item.
func Page[T any](items []T, position string, limit int, key func(T) string) (page []T, next string) {
	if limit <= 0 {
		limit = defaultPage
	}
	return Cut(items, position, min(limit, largestPage), key)
}

// Cut is Page with the caller's own sizes; limit is at least 1.
func Cut[T any](items []T, position string, limit int, key func(T) string) (page []T, next string) {
	start := 0
	if last, at, ok := parsePosition(position); ok {
		start = min(at, len(items))
		for i := range items {
			if key(items[i]) == last {
				start = i + 1
				break
			}
		}
	}
	end := min(start+max(1, limit), len(items))
	if end < len(items) {
		next = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end-1) + ":" + key(items[end-1])))
	}
	return items[start:end], next
}

func parsePosition(position string) (key string, at int, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(position)
	if err != nil {
		return "", 0, false
	}
	index, key, found := strings.Cut(string(raw), ":")
	at, err = strconv.Atoi(index)
	return key, at, found && err == nil && at >= 0
}
