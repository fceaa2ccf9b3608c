package limit

import (
	"context"
	"time"
)

// Rates divides buckets between the nodes that use them. It is declared here
// and implemented by a store that several nodes share: one row a bucket, which
// keeps a Pool. What it decides is Pool's; an implementation loads the row (no
// row: the zero Pool) under a lock, calls Pool, and stores the row, in one
// durable transaction, by the clock of the database and not of the node.
//
// Both methods are called from many goroutines. An implementation may do many
// of them in one transaction, in any order.
type Rates interface {
	// Share answers each of the asks, in their order. No two of one call are
	// for the same bucket. After an error it is unknown which of them were
	// done, and nobody uses what they granted.
	Share(ctx context.Context, asks []ShareAsk) ([]ShareAnswer, error)

	// Return gives back what this node no longer uses. After an error it is
	// unknown which of them were done, and none is told again: a share that was
	// not returned ends by itself.
	Return(ctx context.Context, back []ShareReturn) error
}

// ShareAsk is a node's ask for a part of a bucket, for the next two seconds.
type ShareAsk struct {
	Bucket  string
	Setting Rate   // the bucket's as this node knows it; of Seats only Burst counts, the number of seats
	Version int64  // of Setting: the newest that a Pool has seen is in force
	Seats   bool   // the bucket holds seats: what is not held is free, and nothing flows in
	Node    string // the asking process; another run of it is another node
	Number  uint64 // names this ask; grows with every ask of the node

	Has    uint64  // Number of the ask whose share the node uses now; 0: none
	Tokens float64 // left in that share
	Back   float64 // tokens that the node no longer holds, cut from the share of BackOf
	BackOf uint64

	Demand float64 // calls a second that asked the node for a token lately
	Want   int     // calls that wait for the answer
	Sits   int     // Seats: seats in use, which the node cannot do without
}

// ShareAnswer is what an ask was given.
type ShareAnswer struct {
	// A share, when Life is not zero: it takes the place of the one that the
	// node has, whose tokens it keeps (those above Burst go back with the next
	// ask), with Tokens more.
	Rate   float64 // tokens a second
	Burst  float64
	Tokens float64
	Life   time.Duration // counted from before the ask, less a margin

	// Without a share: so many of the waiting calls are admitted, each on a
	// token of the pool. What the node had ends now.
	Admitted int

	// With a share: when to ask again if the bucket is used. Without: how long
	// the node may refuse alone.
	Again time.Duration

	Setting Rate      // in force in the pool, which may be newer than the ask's
	Version int64     // of it
	At      time.Time // when the pool answered, by its own clock
}

// ShareReturn gives back what a node no longer uses of a bucket.
type ShareReturn struct {
	Bucket string
	Node   string
	Has    uint64  // Number of the ask whose share ends; 0: none
	Tokens float64 // what is left of that share

	// Spare calls were admitted at At, under Version, and let no caller in: a
	// later limit refused, or the caller had gone.
	Spare   int
	At      time.Time
	Version int64
}
