package atproto

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// CAR is a parsed CAR v1 file whose blocks all hash to their CIDs. It serves blocks to the MST code of indigo.
type CAR struct {
	Root   cid.Cid
	blocks map[cid.Cid][]byte
}

// ErrCAR says that a CAR file is malformed or holds a block that does not hash to its CID.
var ErrCAR = errors.New("invalid CAR")

// maxBlocks bounds the map built from one CAR: no commit and no sane repo comes near.
const maxBlocks = 4_000_000

// ReadCAR parses a whole CAR v1 held in memory. The blocks share memory with b.
func ReadCAR(b []byte) (*CAR, error) {
	header, rest, err := carSection(b)
	if err != nil {
		return nil, err
	}
	root, err := carRoot(header)
	if err != nil {
		return nil, err
	}
	c := &CAR{Root: root, blocks: make(map[cid.Cid][]byte, 16)}
	for len(rest) > 0 {
		var section []byte
		if section, rest, err = carSection(rest); err != nil {
			return nil, err
		}
		if err := c.add(section); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func carSection(b []byte) (section, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n == 0 || n > uint64(len(b)-used) {
		return nil, nil, fmt.Errorf("%w: bad section length", ErrCAR)
	}
	return b[used : used+int(n)], b[used+int(n):], nil
}

// carRoot reads {"roots": [link, ...], "version": 1}.
func carRoot(header []byte) (cid.Cid, error) {
	var root cid.Cid
	version := uint64(0)
	s := scanner{b: header}
	err := s.mapEach(func(key []byte) error {
		switch string(key) {
		case "version":
			version = s.uint()
		case "roots":
			return s.arrayEach(func() error {
				link := s.link()
				if !root.Defined() {
					root = link
				}
				return nil
			})
		default:
			s.skip()
		}
		return nil
	})
	if err != nil || s.err != nil || version != 1 || !root.Defined() {
		return cid.Undef, fmt.Errorf("%w: bad header", ErrCAR)
	}
	return root, nil
}

func (c *CAR) add(section []byte) error {
	n, id, err := cid.CidFromBytes(section)
	if err != nil {
		return fmt.Errorf("%w: bad CID: %w", ErrCAR, err)
	}
	data := section[n:]
	if err := CheckCID(id, data); err != nil {
		return err
	}
	if len(c.blocks) >= maxBlocks {
		return fmt.Errorf("%w: more than %d blocks", ErrCAR, maxBlocks)
	}
	c.blocks[id] = data
	return nil
}

// CheckCID returns an error unless id is a CIDv1 with the SHA-256 of data, the only form the data model allows
// (https://atproto.com/specs/data-model#link-and-cid-formats).
func CheckCID(id cid.Cid, data []byte) error {
	p := id.Prefix()
	if p.Version != 1 || p.MhType != multihash.SHA2_256 || p.MhLength != sha256.Size || (p.Codec != cid.DagCBOR && p.Codec != cid.Raw) {
		return fmt.Errorf("%w: CID of a form that the data model does not allow", ErrCAR)
	}
	sum := sha256.Sum256(data)
	if !bytes.HasSuffix(id.Hash(), sum[:]) {
		return fmt.Errorf("%w: block does not hash to its CID", ErrCAR)
	}
	return nil
}

// RecordCID is the CID of a DAG-CBOR block.
func RecordCID(data []byte) (cid.Cid, error) { return sumCID(cid.DagCBOR, data) }

// BlobCID is the CID of a blob's bytes.
func BlobCID(data []byte) (cid.Cid, error) { return sumCID(cid.Raw, data) }

func sumCID(codec uint64, data []byte) (cid.Cid, error) {
	c, err := cid.NewPrefixV1(codec, multihash.SHA2_256).Sum(data)
	if err != nil {
		return cid.Undef, fmt.Errorf("hashing a block: %w", err)
	}
	return c, nil
}

// Block returns the bytes of a block, or nil.
func (c *CAR) Block(id cid.Cid) []byte { return c.blocks[id] }

// Get implements the block source that indigo's mst package reads from.
func (c *CAR) Get(_ context.Context, id cid.Cid) (blocks.Block, error) {
	data, ok := c.blocks[id]
	if !ok {
		return nil, &ipld.ErrNotFound{Cid: id}
	}
	return blocks.NewBlockWithCid(data, id)
}

// WriteCAR makes a CAR v1 with one root; the order of ids is kept and ids without data are left out.
func WriteCAR(root cid.Cid, ids []cid.Cid, data func(cid.Cid) []byte) []byte {
	var header bytes.Buffer
	header.WriteByte(0xa2) // map(2); keys in DAG-CBOR order: shorter first
	header.WriteString("\x65roots\x81")
	writeLink(&header, root)
	header.WriteString("\x67version\x01")
	out := binary.AppendUvarint(nil, uint64(header.Len()))
	out = append(out, header.Bytes()...)
	for _, id := range ids {
		if block := data(id); block != nil {
			raw := id.Bytes()
			out = binary.AppendUvarint(out, uint64(len(raw)+len(block)))
			out = append(append(out, raw...), block...)
		}
	}
	return out
}

// writeLink writes tag 42 over the CID bytes with a leading zero.
func writeLink(w *bytes.Buffer, id cid.Cid) {
	raw := id.Bytes()
	w.Write([]byte{0xd8, 0x2a, 0x58, byte(len(raw) + 1), 0})
	w.Write(raw)
}
