package pds

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// carWriter writes a CAR version 1 file, block by block.
type carWriter struct {
	w   io.Writer
	err error
}

// newCAR writes the header. A CAR header is the DAG-CBOR of {roots: [root], version: 1}.
func newCAR(w io.Writer, root cid.Cid) *carWriter {
	c := &carWriter{w: w}
	raw := root.Bytes()
	head := []byte{0xa2, 0x65, 'r', 'o', 'o', 't', 's', 0x81, 0xd8, 0x2a, 0x58, byte(len(raw) + 1), 0x00}
	head = append(append(head, raw...), 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 0x01)
	c.write(binary.AppendUvarint(nil, uint64(len(head))), head)
	return c
}

func (c *carWriter) write(parts ...[]byte) {
	for _, p := range parts {
		if c.err == nil {
			_, c.err = c.w.Write(p)
		}
	}
}

// put writes one block and returns the first error of the file so far.
func (c *carWriter) put(id cid.Cid, data []byte) error {
	raw := id.Bytes()
	c.write(binary.AppendUvarint(nil, uint64(len(raw)+len(data))), raw, data)
	return c.err
}

// carBytes is a CAR in memory.
func carBytes(root cid.Cid, blocks ...Block) []byte {
	var b bytes.Buffer
	c := newCAR(&b, root)
	for _, bl := range blocks {
		_ = c.put(bl.CID, bl.Data) // a buffer takes everything
	}
	return b.Bytes()
}

func dagCID(data []byte) (cid.Cid, error) { return sumCID(cid.DagCBOR, data), nil }

func rawCID(data []byte) (cid.Cid, error) { return sumCID(cid.Raw, data), nil }

// sumCID makes the one kind of CID that atproto knows: version 1, SHA-256.
func sumCID(codec uint64, data []byte) cid.Cid {
	sum := sha256.Sum256(data)
	return cid.NewCidV1(codec, append([]byte{multihash.SHA2_256, sha256.Size}, sum[:]...))
}
