package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Endpoint is where AWS serves a stage's path: callers name the API in the
// host.
func Endpoint(p Publication) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(p.Region, "cn-") {
		domain += ".cn"
	}
	return fmt.Sprintf("https://%s.execute-api.%s.%s/%s%s", p.APIID, p.Region, domain, p.Stage, p.Path)
}

// between is the time from one question of AwaitKey to the next.
const between = 3 * time.Second

// AwaitKey calls an endpoint until it lets the key in: on AWS a new stage, a
// new key and their names take up to some minutes to be known everywhere. The
// call that is let in is a real one: it runs the function and uses one of the
// quota. waiting is told why it is not over yet. The error after limit names
// the last answer.
func AwaitKey(ctx context.Context, method, url, key string, limit time.Duration, waiting func(why string)) error {
	client := &http.Client{Timeout: 40 * time.Second} // a function on AWS answers within 29 s
	return awaitKey(ctx, client, method, url, key, int(limit/between), pause, waiting)
}

func awaitKey(
	ctx context.Context, client *http.Client, method, url, key string, attempts int,
	pause func(context.Context, time.Duration) error, waiting func(string),
) error {
	why := ""
	for range attempts {
		why = ask(ctx, client, method, url, key)
		if why == "" {
			return nil
		}
		waiting(why)
		if err := pause(ctx, between); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s does not let the key in yet (%s): everything is made, and AWS may need some minutes more", url, why)
}

// ask makes one call and says what is in the way; "" when it was let in, which
// a throttled call was too.
func ask(ctx context.Context, client *http.Client, method, url, key string) string {
	if method == "ANY" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := client.Do(req)
	if err != nil {
		var inner interface{ Unwrap() error }
		if errors.As(err, &inner) {
			err = inner.Unwrap() // without the URL, which is told already
		}
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	if res.StatusCode == http.StatusForbidden {
		return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body)))
	}
	return ""
}
