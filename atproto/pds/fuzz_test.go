package pds

import (
	"bytes"
	"testing"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
)

// FuzzDecodeNode: whatever comes, no panic; and what is taken is written again byte for byte, and read alike by the library.
func FuzzDecodeNode(f *testing.F) {
	v := valueCID(f, "v")
	for _, d := range []mst.NodeData{{}, {Left: &v}, {Entries: []mst.EntryData{{KeySuffix: []byte("com.example.c/1"), Value: v}, {PrefixLen: 14, KeySuffix: []byte("2"), Value: v, Right: &v}}}} {
		b, _, err := d.Bytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNode(b, sumCID(0x71, b), 5)
		if err != nil {
			return
		}
		again, c, err := n.encode()
		if err != nil || !bytes.Equal(again, b) || c != n.cid {
			t.Fatalf("%x became %x (%v)", b, again, err)
		}
		theirs, err := mst.NodeDataFromCBOR(bytes.NewReader(b))
		if err != nil || len(theirs.Entries) != len(n.keys) {
			t.Fatalf("the library reads it otherwise: %v", err)
		}
	})
}
