package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// Ref is all that a Scheduler knows of a job. Lanes and subjects are hashes, so no identifier of a person leaves the
// database; two keys with one hash would merely share a lane.
type Ref struct {
	// ID is the job's outbox sequence.
	ID int64
	// Lane is the hash of the job's key; a job without a key has a lane of its own.
	Lane uint64
	// Subject is the hash of whose job it is, 0 for nobody's; subjects take turns.
	Subject uint64
	// Priority is the job's class.
	Priority Priority
}

// NewRef computes the reference of a job.
func NewRef(id int64, key, subject string, p Priority) Ref {
	r := Ref{ID: id, Priority: min(max(p, Urgent), Backfill)}
	if key == "" {
		key = "#" + strconv.FormatInt(id, 10)
	}
	r.Lane = hash("lane:", key)
	if subject != "" {
		r.Subject = hash("subject:", subject)
	}
	return r
}

// hash must be the same in all processes, and hard to steer: nobody may aim their jobs at another's lane.
func hash(space, s string) uint64 {
	sum := sha256.Sum256(append([]byte(space), s...))
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}
