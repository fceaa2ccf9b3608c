package authorizer

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// Bounds of what is kept, over all stages and authorizers together.
const (
	maxAnswers     = 100_000
	maxAnswerBytes = 64 << 20

	shards         = 32
	shardAnswers   = maxAnswers / shards
	shardBytes     = maxAnswerBytes / shards
	entryOverhead  = 512 // the entry, its place in the map, and the answer without its texts
	perTextInBytes = 96  // what a compiled pattern or condition takes besides its text
)

type digest = [sha256.Size]byte

// cache keeps answers under the digest of an identity: the least recently used
// go first when there are too many. It also knows which identities are being
// asked about right now. Safe for concurrent use.
type cache struct {
	// seed makes digests useless outside of this process: a token cannot be
	// guessed from them.
	seed   [32]byte
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	answers map[digest]*entry
	asking  map[digest]*asking
	newest  *entry
	oldest  *entry
	bytes   int
}

// entry is one kept answer, in a list by last use.
type entry struct {
	key          digest
	answer       *answer
	until        time.Duration
	newer, older *entry
}

// asking is a question under way, for those who have the same one.
type asking struct {
	done    chan struct{} // closed when the rest is set
	answer  *answer       // nil: it failed
	failure failure
}

func newCache() *cache {
	c := &cache{}
	_, _ = rand.Read(c.seed[:]) // never fails
	for i := range c.shards {
		c.shards[i].answers, c.shards[i].asking = map[digest]*entry{}, map[digest]*asking{}
	}
	return c
}

func (c *cache) shard(key digest) *shard { return &c.shards[int(key[0])%shards] }

// get returns a kept answer. Without one it returns the question under way;
// mine says that it is the caller's own, to be ended by settle.
func (c *cache) get(key digest, now time.Duration) (found *answer, under *asking, mine bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.answers[key]; e != nil {
		if now < e.until {
			s.unlink(e)
			s.link(e)
			return e.answer, nil, false
		}
		s.remove(e)
	}
	if under = s.asking[key]; under != nil {
		return nil, under, false
	}
	under = &asking{done: make(chan struct{})}
	s.asking[key] = under
	return nil, under, true
}

// settle ends a question and keeps its answer, if there is one, until then.
func (c *cache) settle(key digest, under *asking, until time.Duration) {
	s := c.shard(key)
	s.mu.Lock()
	delete(s.asking, key)
	if under.answer != nil {
		s.keep(&entry{key: key, answer: under.answer, until: until})
	}
	s.mu.Unlock()
	close(under.done)
}

func (s *shard) keep(e *entry) {
	if old := s.answers[e.key]; old != nil {
		s.remove(old)
	}
	s.answers[e.key] = e
	s.bytes += e.answer.size
	s.link(e)
	for s.bytes > shardBytes || len(s.answers) > shardAnswers {
		s.remove(s.oldest)
	}
}

func (s *shard) remove(e *entry) {
	delete(s.answers, e.key)
	s.bytes -= e.answer.size
	s.unlink(e)
}

func (s *shard) link(e *entry) {
	e.older, e.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

func (s *shard) unlink(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
}
