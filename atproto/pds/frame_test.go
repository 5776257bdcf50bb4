package pds_test

import (
	"bytes"
	"fmt"

	cbor "github.com/ipfs/go-ipld-cbor"
	cbg "github.com/whyrusleeping/cbor-gen"
)

type frameHeader struct {
	op int64
	t  string
}

// decodeHeader reads the header with a general CBOR decoder and returns what follows it.
func decodeHeader(b []byte) ([]byte, frameHeader, error) {
	var d cbg.Deferred
	r := bytes.NewReader(b)
	if err := d.UnmarshalCBOR(r); err != nil {
		return nil, frameHeader{}, err
	}
	m, err := object(d.Raw)
	if err != nil {
		return nil, frameHeader{}, err
	}
	var h frameHeader
	switch op := m["op"].(type) {
	case int:
		h.op = int64(op)
	case int64:
		h.op = op
	default:
		return nil, h, fmt.Errorf("op is a %T", op)
	}
	h.t, _ = m["t"].(string)
	return b[len(b)-r.Len():], h, nil
}

func object(raw []byte) (map[string]any, error) {
	var m map[string]any
	err := cbor.DecodeInto(raw, &m)
	return m, err
}

func errorName(body []byte) (string, error) {
	m, err := object(body)
	if err != nil {
		return "", err
	}
	name, _ := m["error"].(string)
	if _, ok := m["message"].(string); !ok {
		return name, fmt.Errorf("an error frame without a message")
	}
	return name, nil
}
