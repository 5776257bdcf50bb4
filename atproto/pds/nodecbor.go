package pds

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// The block of an MST node is the DAG-CBOR of {e: [{k: bytes, p: int, t: link|null, v: link}], l: link|null} (repository
// specification, "MST Structure"). It is read and written here because every commit does so for all nodes on its path,
// and the general codec takes five times as long.

const (
	cborMap2  = 0xa2
	cborMap4  = 0xa4
	cborNull  = 0xf6
	linkBytes = 41 // d8 2a 58 25 00 and 36 bytes of CID
	cidBytes  = 36
)

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) expect(s string) {
	if string(r.take(len(s))) != s {
		r.bad = true
	}
}

// head reads the head of a value of the major type, and its argument; only the shortest form is DAG-CBOR.
func (r *reader) head(major byte) int {
	h := r.take(1)
	if r.bad || h[0]>>5 != major {
		r.bad = true
		return 0
	}
	switch low := h[0] & 0x1f; {
	case low < 24:
		return int(low)
	case low == 24:
		if b := r.take(1); !r.bad && b[0] >= 24 {
			return int(b[0])
		}
	case low == 25:
		if b := r.take(2); !r.bad && b[0] != 0 {
			return int(binary.BigEndian.Uint16(b))
		}
	}
	r.bad = true
	return 0
}

// link reads a CIDv1 of DAG-CBOR or raw bytes with SHA-256, as all of atproto's are.
func (r *reader) link(nullable bool) cid.Cid {
	if nullable && len(r.b) > 0 && r.b[0] == cborNull {
		r.b = r.b[1:]
		return cid.Undef
	}
	r.expect("\xd8\x2a\x58\x25\x00")
	raw := r.take(cidBytes)
	if r.bad || raw[0] != 1 || raw[1] != cid.DagCBOR && raw[1] != cid.Raw || raw[2] != multihash.SHA2_256 || raw[3] != sha256.Size {
		r.bad = true
		return cid.Undef
	}
	return cid.NewCidV1(uint64(raw[1]), raw[2:])
}

// decodeNode reads a block. height is that of the place it is linked from, or -1 for a root. Prefix lengths and order
// are checked here, because indigo's own reading panics on the first and ignores the second.
func decodeNode(block []byte, c cid.Cid, height int) (*node, error) {
	r := &reader{b: block}
	r.expect("\xa2\x61e")
	count := r.head(4)
	if r.bad || count > len(block)/linkBytes {
		return nil, fmt.Errorf("%w: an MST node that is not DAG-CBOR", errTree)
	}
	n := &node{cid: c, height: height, keys: make([]string, 0, count), vals: make([]cid.Cid, 0, count), kids: make([]link, 1, count+1)}
	last := ""
	for range count {
		r.expect("\xa4\x61k")
		suffix := r.take(r.head(2))
		r.expect("\x61p")
		prefix := r.head(0)
		r.expect("\x61t")
		right := r.link(true)
		r.expect("\x61v")
		val := r.link(false)
		if r.bad || prefix > len(last) {
			return nil, fmt.Errorf("%w: a malformed entry", errTree)
		}
		key := last[:prefix] + string(suffix)
		if key <= last || !mst.IsValidKey([]byte(key)) {
			return nil, fmt.Errorf("%w: keys out of order", errTree)
		}
		n.keys, n.vals, n.kids = append(n.keys, key), append(n.vals, val), append(n.kids, link{cid: right})
		last = key
	}
	r.expect("\x61l")
	n.kids[0] = link{cid: r.link(true)}
	if r.bad || len(r.b) != 0 {
		return nil, fmt.Errorf("%w: an MST node that is not DAG-CBOR", errTree)
	}
	return n, n.setHeight()
}

// encode gives the block of a node whose kids all have a CID, and its CID.
func (n *node) encode() ([]byte, cid.Cid, error) {
	b := make([]byte, 0, 16+len(n.keys)*(2*linkBytes+40))
	b = appendHead(append(b, cborMap2, 0x61, 'e'), 4, len(n.keys))
	last := ""
	for i, key := range n.keys {
		p := commonPrefix(last, key)
		b = appendHead(append(b, cborMap4, 0x61, 'k'), 2, len(key)-p)
		b = append(append(b, key[p:]...), 0x61, 'p')
		b = appendHead(b, 0, p)
		b = appendLink(append(b, 0x61, 't'), n.kids[i+1].cid)
		b = appendLink(append(b, 0x61, 'v'), n.vals[i])
		last = key
	}
	b = appendLink(append(b, 0x61, 'l'), n.kids[0].cid)
	c, err := dagCID(b)
	return b, c, err
}

func appendHead(b []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 256:
		return append(b, major<<5|24, byte(n))
	}
	return binary.BigEndian.AppendUint16(append(b, major<<5|25), uint16(n))
}

func appendLink(b []byte, c cid.Cid) []byte {
	if !c.Defined() {
		return append(b, cborNull)
	}
	raw := c.Bytes()
	return append(append(b, 0xd8, 0x2a, 0x58, byte(len(raw)+1), 0x00), raw...)
}
