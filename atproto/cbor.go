package atproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ipfs/go-cid"
)

// errCBOR says that bytes are not the CBOR that the reader expects.
var errCBOR = errors.New("invalid CBOR")

// maxDepth bounds the nesting of what is skipped.
const maxDepth = 64

// scanner walks DAG-CBOR without allocating. It refuses indefinite lengths, which DAG-CBOR forbids. After the first error
// it stays at the error and returns zero values.
type scanner struct {
	b   []byte
	pos int
	err error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d", errCBOR, what, s.pos)
	}
}

// head reads the major type and argument of the next item.
func (s *scanner) head() (major byte, arg uint64) {
	if s.err != nil || s.pos >= len(s.b) {
		s.fail("unexpected end")
		return 0, 0
	}
	first := s.b[s.pos]
	major, info := first>>5, first&31
	s.pos++
	if info < 24 {
		return major, uint64(info)
	}
	if info > 27 {
		s.fail("indefinite or reserved length")
		return 0, 0
	}
	size := 1 << (info - 24)
	if len(s.b)-s.pos < size {
		s.fail("unexpected end")
		return 0, 0
	}
	arg = beUint(s.b[s.pos : s.pos+size])
	s.pos += size
	return major, arg
}

func beUint(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// take returns the next n bytes.
func (s *scanner) take(n uint64) []byte {
	if s.err != nil || n > uint64(len(s.b)-s.pos) {
		s.fail("length beyond the end")
		return nil
	}
	out := s.b[s.pos : s.pos+int(n)]
	s.pos += int(n)
	return out
}

func (s *scanner) want(major byte, what string) uint64 {
	m, arg := s.head()
	if s.err == nil && m != major {
		s.fail("expected " + what)
	}
	if s.err != nil {
		return 0
	}
	return arg
}

func (s *scanner) text() []byte  { return s.take(s.want(3, "text")) }
func (s *scanner) bytes() []byte { return s.take(s.want(2, "bytes")) }
func (s *scanner) uint() uint64  { return s.want(0, "unsigned integer") }

// int reads an integer of either sign.
func (s *scanner) int() int64 {
	m, arg := s.head()
	if s.err == nil && (m > 1 || arg > math.MaxInt64) {
		s.fail("expected an integer")
	}
	if s.err != nil {
		return 0
	}
	if m == 1 {
		return -1 - int64(arg)
	}
	return int64(arg)
}

// link reads a CID link: tag 42 over bytes with a leading zero.
func (s *scanner) link() cid.Cid {
	if tag := s.want(6, "a link"); tag != 42 {
		s.fail("expected tag 42")
	}
	raw := s.bytes()
	if s.err != nil || len(raw) < 2 || raw[0] != 0 {
		s.fail("malformed link")
		return cid.Undef
	}
	c, err := cid.Cast(raw[1:])
	if err != nil {
		s.fail("malformed CID")
		return cid.Undef
	}
	return c
}

// mapEach calls f with each key; f must consume the value.
func (s *scanner) mapEach(f func(key []byte) error) error {
	n := s.want(5, "a map")
	for ; n > 0 && s.err == nil; n-- {
		key := s.text()
		if s.err != nil {
			break
		}
		if err := f(key); err != nil {
			return err
		}
	}
	return s.err
}

// arrayEach calls f for each element; f must consume it.
func (s *scanner) arrayEach(f func() error) error {
	n := s.want(4, "an array")
	for ; n > 0 && s.err == nil; n-- {
		if err := f(); err != nil {
			return err
		}
	}
	return s.err
}

// skip passes over the next item.
func (s *scanner) skip() { s.skipDepth(0) }

func (s *scanner) skipDepth(depth int) {
	if depth > maxDepth {
		s.fail("nested too deep")
	}
	major, arg := s.head()
	if s.err != nil {
		return
	}
	switch major {
	case 2, 3:
		s.take(arg)
	case 4, 5:
		items := arg
		if major == 5 {
			if arg > math.MaxUint64/2 {
				s.fail("map too large")
			}
			items = 2 * arg
		}
		for ; items > 0 && s.err == nil; items-- {
			s.skipDepth(depth + 1)
		}
	case 6:
		s.skipDepth(depth + 1)
	}
}
