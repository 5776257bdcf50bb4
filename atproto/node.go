package atproto

import (
	"bytes"
	"context"
	"errors"

	"github.com/bluesky-social/indigo/atproto/repo/mst"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

// maxKey bounds a path: a collection of 317 and a record key of 512 characters.
const maxKey = 830

// nodeSource hands tree nodes to indigo after checking what indigo trusts: prefix lengths, order, canonical bytes.
type nodeSource struct{ car *CAR }

func (n nodeSource) Get(ctx context.Context, id cid.Cid) (blocks.Block, error) {
	block, err := n.car.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := checkNode(block.RawData()); err != nil {
		return nil, err
	}
	return block, nil
}

func checkNode(raw []byte) error {
	node, err := mst.NodeDataFromCBOR(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var key []byte
	for i, e := range node.Entries {
		if e.PrefixLen < 0 || e.PrefixLen > int64(len(key)) || (i == 0 && e.PrefixLen != 0) {
			return errors.New("tree node with a wrong prefix length")
		}
		next := append(bytes.Clone(key[:e.PrefixLen]), e.KeySuffix...)
		if len(next) == 0 || len(next) > maxKey || bytes.Compare(next, key) <= 0 {
			return errors.New("tree node with keys out of order or of a wrong length")
		}
		key = next
	}
	again, _, err := node.Bytes()
	if err != nil {
		return err
	}
	if !bytes.Equal(again, raw) {
		return errors.New("tree node is not canonical")
	}
	return nil
}
