package atproto

import "fmt"

// Limits of com.atproto.sync.subscribeRepos (https://atproto.com/specs/sync#firehose).
const (
	maxFrame       = 5_000_000
	maxCommitBytes = 2_000_000
	maxOps         = 200
	maxRecord      = 1_000_000
)

// frame is what the header filter reads of an event-stream frame. All slices point into the frame.
type frame struct {
	Op   int64  // 1 message, -1 error
	Type string // #commit, #identity, ...
	Body []byte // the second CBOR item

	Seq     int64
	DID     []byte // repo or did
	Blocks  []byte // commit and sync only
	Ops     []byte // commit only: the array, undecoded
	Deletes bool   // one of the ops is a delete
}

// peek reads the header of a frame and, of its body, only what tells whether the event concerns anybody here. It does not
// allocate, which is what makes the filter some twenty times faster than a full decode.
func peek(raw []byte) (frame, error) {
	var f frame
	s := scanner{b: raw}
	f.header(&s)
	if s.err != nil {
		return f, fmt.Errorf("reading a frame header: %w", s.err)
	}
	f.Body = raw[s.pos:]
	if f.Op != 1 {
		return f, nil
	}
	f.body(&s)
	if s.err == nil && s.pos != len(raw) {
		s.fail("bytes after the body")
	}
	if s.err != nil {
		return f, fmt.Errorf("reading a frame body: %w", s.err)
	}
	return f, nil
}

func (f *frame) header(s *scanner) {
	for n := s.want(5, "a map"); n > 0 && s.err == nil; n-- {
		switch key := s.text(); string(key) {
		case "op":
			f.Op = s.int()
		case "t":
			f.Type = frameType(s.text())
		default:
			s.skip()
		}
	}
}

// frameType avoids an allocation for the types that are known.
func frameType(t []byte) string {
	for _, known := range [...]string{"#commit", "#identity", "#account", "#sync", "#info"} {
		if string(t) == known {
			return known
		}
	}
	return string(t)
}

func (f *frame) body(s *scanner) {
	for n := s.want(5, "a map"); n > 0 && s.err == nil; n-- {
		switch key := s.text(); string(key) {
		case "seq":
			f.Seq = s.int()
		case "repo", "did":
			f.DID = s.text()
		case "blocks":
			f.Blocks = s.bytes()
		case "ops":
			start := s.pos
			f.scanOps(s)
			f.Ops = s.b[start:s.pos]
		default:
			s.skip()
		}
	}
}

// scanOps looks only for deletes: what is deleted is not in the blocks, so it cannot be found by scanning them.
func (f *frame) scanOps(s *scanner) {
	for n := s.want(4, "an array"); n > 0 && s.err == nil; n-- {
		for m := s.want(5, "a map"); m > 0 && s.err == nil; m-- {
			if key := s.text(); string(key) != "action" {
				s.skip()
				continue
			}
			if string(s.text()) == "delete" {
				f.Deletes = true
			}
		}
	}
}
