package atprototest

import (
	"bytes"
	"errors"
	"fmt"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// message is one decoded frame of subscribeRepos.
type message struct {
	seq      int64
	did      string
	future   bool
	commit   *comatproto.SyncSubscribeRepos_Commit
	sync     *comatproto.SyncSubscribeRepos_Sync
	identity *comatproto.SyncSubscribeRepos_Identity
	account  *comatproto.SyncSubscribeRepos_Account
}

// parseFrame decodes with indigo's generated code and refuses bytes left over.
func parseFrame(raw []byte) (m *message, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("panic while decoding: %v", p)
		}
	}()
	r := bytes.NewReader(raw)
	op, kind, err := frameHeader(r)
	if err != nil {
		return nil, err
	}
	m = &message{}
	if op == -1 {
		m.future = bytes.Contains(raw, []byte("FutureCursor"))
		return m, nil
	}
	if err := m.body(kind, r); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	if kind != "#info" && r.Len() != 0 {
		return nil, errors.New("bytes after the body")
	}
	return m, nil
}

func frameHeader(r *bytes.Reader) (op int64, kind string, err error) {
	cr := cbg.NewCborReader(r)
	major, n, err := cr.ReadHeader()
	if err != nil || major != cbg.MajMap || n > 8 {
		return 0, "", errors.New("the frame header is not a map")
	}
	for range n {
		key, err := cbg.ReadString(cr)
		if err != nil {
			return 0, "", err
		}
		switch key {
		case "t":
			if kind, err = cbg.ReadString(cr); err != nil {
				return 0, "", err
			}
		case "op":
			major, v, err := cr.ReadHeader()
			if err != nil {
				return 0, "", err
			}
			op = int64(v)
			if major == cbg.MajNegativeInt {
				op = -1 - op
			}
		default:
			return 0, "", fmt.Errorf("unknown header field %q", key)
		}
	}
	return op, kind, nil
}

func (m *message) body(kind string, r *bytes.Reader) error {
	switch kind {
	case "#commit":
		m.commit = new(comatproto.SyncSubscribeRepos_Commit)
		err := m.commit.UnmarshalCBOR(r)
		m.seq, m.did = m.commit.Seq, m.commit.Repo
		return err
	case "#sync":
		m.sync = new(comatproto.SyncSubscribeRepos_Sync)
		err := m.sync.UnmarshalCBOR(r)
		m.seq, m.did = m.sync.Seq, m.sync.Did
		return err
	case "#identity":
		m.identity = new(comatproto.SyncSubscribeRepos_Identity)
		err := m.identity.UnmarshalCBOR(r)
		m.seq, m.did = m.identity.Seq, m.identity.Did
		return err
	case "#account":
		m.account = new(comatproto.SyncSubscribeRepos_Account)
		err := m.account.UnmarshalCBOR(r)
		m.seq, m.did = m.account.Seq, m.account.Did
		return err
	case "#info":
		return nil
	}
	return errors.New("unknown type")
}
