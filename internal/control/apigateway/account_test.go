package apigateway

import (
	"testing"

	"weir/internal/catalog"
)

// TestAccountTellsTheThrottleThatIsSet, and AWS's default while none is.
func TestAccountTellsTheThrottleThatIsSet(t *testing.T) {
	for _, c := range []struct {
		set  *catalog.Throttle
		want throttle
	}{{nil, throttle{5000, 10000}}, {&catalog.Throttle{RateLimit: 0.5, BurstLimit: 7}, throttle{7, 0.5}}} {
		s := &service{Options{AccountThrottle: c.set}}
		if got := s.newAccount("").ThrottleSettings; got != c.want {
			t.Errorf("%+v is told as %+v", c.set, got)
		}
	}
}
