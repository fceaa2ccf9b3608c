package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agw "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// saw notes one answer of a client; status 0 is a connection that ended
// without one.
func (s *soak) saw(kind string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count(s.seen, kind, status)
}

// load runs all clients and edits for a while, and lets each end what it has
// begun.
func (s *soak) load(took time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), took)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
	var running sync.WaitGroup
	every := func(clients int, pause time.Duration, do func()) {
		for range clients {
			running.Go(func() {
				for ctx.Err() == nil {
					do()
					time.Sleep(pause)
				}
			})
		}
	}
	every(4, 5*time.Millisecond, func() { s.ask(client, "good", s.url(), s.keys["good"].value, 200) })
	every(2, 20*time.Millisecond, func() { s.ask(client, "function", s.function, s.keys["function"].value, 200) })
	every(2, 20*time.Millisecond, func() { s.ask(client, "fast", s.url(), s.keys["fast"].value, 200, 429) })
	every(1, 50*time.Millisecond, func() { s.ask(client, "spent", s.url(), s.keys["spent"].value, 200, 429) })
	every(2, 10*time.Millisecond, func() { s.ask(client, "unknown", s.url(), strings.Repeat("x", 40), 403) })
	every(1, 20*time.Millisecond, func() { s.ask(client, "keyless", s.url(), "", 403) })
	every(1, 20*time.Millisecond, func() { s.ask(client, "astray", s.url()+"/nowhere", s.keys["good"].value, 403) })
	every(2, 50*time.Millisecond, func() { s.halfClosed() })
	every(2, 50*time.Millisecond, func() { s.aborted() })
	every(2, 50*time.Millisecond, func() { s.malformed() })
	every(4, 10*time.Millisecond, func() { s.slow("POST / HTTP/1.1\r\nHost: h\r\nX-Slow: ") })
	every(4, 10*time.Millisecond, func() { s.slow(s.head("aborted", "Content-Length: 100000")) })
	running.Go(func() { s.edit(ctx) })
	running.Wait()
}

// ask makes one call, which must have one of the answers.
func (s *soak) ask(client *http.Client, kind, url, key string, allowed ...int) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"timestamp": 1700000000}`))
	if err != nil {
		s.t.Error(err)
		return
	}
	req.Header.Set("User-Agent", kind)
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := client.Do(req)
	if err != nil {
		s.t.Errorf("%s: no answer: %v", kind, err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Errorf("%s: %s: %v", kind, res.Status, err)
	}
	s.saw(kind, res.StatusCode)
	for _, status := range allowed {
		if res.StatusCode == status {
			return
		}
	}
	s.t.Errorf("%s: %s %s", kind, res.Status, body)
}

// head is a request's head on the wire, as a client of a kind sends it.
func (s *soak) head(kind string, headers ...string) string {
	return "POST " + strings.TrimPrefix(s.url(), s.s.gateway) + " HTTP/1.1\r\nHost: h\r\nUser-Agent: " + kind +
		"\r\nX-Api-Key: " + s.keys[kind].value + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

func (s *soak) dial() *net.TCPConn {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.s.gateway, "http://"))
	if err != nil {
		s.t.Errorf("connecting: %v", err)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*net.TCPConn)
}

// answered reads the status of one answer; 0 when there is none.
func answered(conn net.Conn) int {
	text, _ := io.ReadAll(io.LimitReader(conn, 1<<16))
	var status int
	if _, err := fmt.Sscanf(string(text), "HTTP/1.1 %d", &status); err != nil {
		return 0
	}
	return status
}

// halfClosed sends a whole call and ends its side of the connection.
func (s *soak) halfClosed() {
	conn := s.dial()
	if conn == nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, s.head("half", "Content-Length: 2")+"{}")
	_ = conn.CloseWrite()
	s.saw("half", answered(conn))
}

// aborted announces a body and goes away in the middle of it.
func (s *soak) aborted() {
	conn := s.dial()
	if conn == nil {
		return
	}
	_, _ = io.WriteString(conn, s.head("aborted", "Content-Length: 1000")+"{")
	_ = conn.Close()
	s.saw("aborted", 0)
}

// malformed is refused and the connection closed.
func (s *soak) malformed() {
	for _, text := range []string{
		s.head("half", "Content-Length: 2", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		s.head("half", "Content-Length: 2", "Content-Length: 3") + "{}",
		s.head("half", "X-Space : 1"),
		"nothing that is HTTP\r\n\r\n",
	} {
		conn := s.dial()
		if conn == nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		status := answered(conn)
		_ = conn.Close()
		s.saw("malformed", status)
		if status != 400 && status != 0 {
			s.t.Errorf("malformed: %d to %q", status, text)
		}
	}
}

// slow sends a byte now and then until it is cut off.
func (s *soak) slow(begin string) {
	conn := s.dial()
	if conn == nil {
		return
	}
	defer conn.Close()
	began := time.Now()
	_, err := io.WriteString(conn, begin)
	for err == nil && time.Since(began) < 25*time.Second {
		time.Sleep(200 * time.Millisecond)
		_, err = io.WriteString(conn, "x")
	}
	if err == nil {
		s.t.Errorf("a slow caller is still served after %s: %s", time.Since(began).Round(time.Second), begin)
	}
	s.saw("slow", 408) // that it was cut off is seen; the answer is lost when it comes while we write
}

// edit changes what is served, all the time: deployments, plans, keys, code.
func (s *soak) edit(ctx context.Context) {
	live := s.t.Context() // what is begun is ended
	check := func(_ any, err error) {
		if err != nil {
			s.t.Errorf("edit: %v", err)
		}
	}
	last := ""
	for n := 0; ctx.Err() == nil; n++ {
		id := s.deploy(live)
		if last != "" {
			_, err := s.agw.DeleteDeployment(live, &apigateway.DeleteDeploymentInput{RestApiId: &s.api, DeploymentId: &last})
			check(0, err)
		}
		last = id
		_, err := s.agw.UpdateUsagePlan(live, &apigateway.UpdateUsagePlanInput{UsagePlanId: &s.plan, PatchOperations: []agw.PatchOperation{
			{Op: agw.OpReplace, Path: aws.String("/throttle/rateLimit"), Value: aws.String(fmt.Sprint(9000 + n%2*1000))},
		}})
		check(0, err)
		k := s.addKey(live, "passing", s.plan)
		_, err = s.agw.UpdateApiKey(live, &apigateway.UpdateApiKeyInput{ApiKey: &k.id, PatchOperations: []agw.PatchOperation{
			{Op: agw.OpReplace, Path: aws.String("/enabled"), Value: aws.String("false")},
		}})
		check(0, err)
		_, err = s.agw.DeleteApiKey(live, &apigateway.DeleteApiKeyInput{ApiKey: &k.id})
		check(0, err)
		if n%10 == 0 {
			_, err := s.lambda.UpdateFunctionCode(live, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("stamp"), ZipFile: s.zips[n/10%2]})
			check(0, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// countsAddUp holds three counts against each other: what clients saw, what
// get-usage says, and what the records say.
func (s *soak) countsAddUp(r *recorded) {
	t := s.t
	t.Helper()
	today := aws.String(time.Now().UTC().Format(time.DateOnly))
	for kind, key := range s.keys {
		u, err := s.agw.GetUsage(t.Context(), &apigateway.GetUsageInput{UsagePlanId: &key.plan, KeyId: &key.id, StartDate: today, EndDate: today})
		must(t, u, err)
		used := int64(0)
		for _, day := range u.Items[key.id] {
			used += day[0]
		}
		// A half-closed connection may end between the count and the answer.
		if least, most := s.seen[kind][200], s.seen[kind][200]+s.seen[kind][0]; used < least || kind == "aborted" && used != 0 || kind != "aborted" && used > most {
			t.Errorf("%s: clients saw %v, get-usage says %d", kind, s.seen[kind], used)
		}
		t.Logf("%-9s clients saw %v, get-usage says %d", kind, s.seen[kind], used)
	}
	if s.seen["spent"][200] != spentQuota {
		t.Errorf("a quota of %d let %d through", spentQuota, s.seen["spent"][200])
	}
	if n, most := s.seen["fast"][200], fastRate+fastRate*time.Since(s.began).Seconds(); float64(n) > most {
		t.Errorf("a rate of %d/s let %d through, %.0f at most are right", fastRate, n, most)
	}
	// The last records come with the next sign of life of the stream at the latest.
	kinds := []string{"good", "function", "fast", "spent", "unknown", "keyless", "astray", "malformed", "slow"}
	missing := func() (list []string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, kind := range kinds {
			for status, n := range s.seen[kind] {
				if have := r.seen[kind][status]; have > n || have+r.lost < n {
					list = append(list, fmt.Sprintf("%s: %d answers of %d, %d records", kind, n, status, have))
				}
			}
		}
		return list
	}
	end := time.Now().Add(20 * time.Second)
	for len(missing()) > 0 && time.Now().Before(end) {
		time.Sleep(100 * time.Millisecond)
	}
	for _, line := range missing() {
		t.Errorf("%s (%d lost by this reader)", line, r.lost)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range append(kinds, "aborted") {
		t.Logf("%-9s clients saw %v, records say %v", kind, s.seen[kind], r.seen[kind])
		if len(s.seen[kind]) == 0 {
			t.Errorf("%s: no client of this kind saw anything", kind)
		}
	}
}
