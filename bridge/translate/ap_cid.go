package translate

import (
	"footbridge/activitypub/as2"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// recordCID is the CID that a repo gives the record: SHA-256 over its DAG-CBOR. Parts of a thread and gates need it
// before the record is in a repo.
func recordCID(rec map[string]any) (string, bool) {
	raw, err := as2.AppendValue(nil, rec)
	if err != nil {
		return "", false
	}
	data, err := atdata.UnmarshalJSON(raw)
	if err != nil {
		return "", false
	}
	block, err := atdata.MarshalCBOR(data)
	if err != nil {
		return "", false
	}
	c, err := cid.NewPrefixV1(cid.DagCBOR, multihash.SHA2_256).Sum(block)
	if err != nil {
		return "", false
	}
	return c.String(), true
}

// linkPart makes a part of a thread answer the part before it.
func (j *apJob) linkPart(part, first, before map[string]any, firstURI, beforeURI string) {
	parent, ok := recordCID(before)
	root := StrongRef{firstURI, ""}
	if r, is := first["reply"].(map[string]any); is {
		if m, is := r["root"].(map[string]any); is {
			root.URI, _ = m["uri"].(string)
			root.CID, _ = m["cid"].(string)
		}
	}
	if root.CID == "" {
		root.CID, _ = recordCID(first)
	}
	if ok && root.CID != "" {
		part["reply"] = map[string]any{"root": refMap(root), "parent": refMap(StrongRef{beforeURI, parent})}
	}
}
