package gateway

import "testing"

// BenchmarkFraming is what the strict reading of a head costs.
func BenchmarkFraming(b *testing.B) {
	head := []byte(request("GET /prod/items/7", "", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: en-US,en;q=0.5",
		"Accept-Encoding: gzip, deflate, br", "x-api-key: "+goodKey))
	var f framing
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		if f.scan(head); f.problem != nil || f.begun() {
			b.Fatal(f.problem)
		}
	}
}
