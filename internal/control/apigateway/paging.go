package apigateway

import (
	"encoding/base64"
	"strconv"

	"weir/internal/control/protocol"
)

// Sizes of a page in AWS's lists.
const (
	defaultPage = 25
	largestPage = 500
)

// paging is what every list takes. AWS tolerates a limit that is none, so it
// is read as text.
type paging struct {
	Position string `query:"position"`
	Limit    string `query:"limit"`
}

// size gives the page's size: AWS's default for what is no positive number, at
// most AWS's largest.
func (p *paging) size() int {
	n, err := strconv.ParseUint(p.Limit, 10, 31)
	switch {
	case err != nil && len(p.Limit) > 0 && p.Limit[0] >= '1' && p.Limit[0] <= '9':
		if allDigits(p.Limit) {
			return largestPage // too large for an integer
		}
		return defaultPage
	case err != nil || n == 0:
		return defaultPage
	}
	return int(min(n, largestPage))
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// page cuts one page out of all items.
func page[T any](p *paging, all []T, key func(T) string) ([]T, string) {
	return protocol.Page(all, p.Position, p.size(), key)
}

// after reads a position that names the last item of the page before.
func (p *paging) after() string {
	id, err := base64.RawURLEncoding.DecodeString(p.Position)
	if err != nil {
		return p.Position // the store refuses it
	}
	return string(id)
}

// cutAfter cuts items, one more than the page holds when there are more, and
// gives the position that goes on behind them.
func cutAfter[T any](items []T, size int, id func(T) string) ([]T, string) {
	if len(items) <= size {
		return items, ""
	}
	items = items[:size]
	return items, base64.RawURLEncoding.EncodeToString([]byte(id(items[size-1])))
}
