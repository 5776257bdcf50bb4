package pds

import (
	"bytes"
	"fmt"
	"io"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"

	lexutil "github.com/bluesky-social/indigo/lex/util"
)

// Kinds of events in the sequencer's log.
const (
	kindCommit   = "commit"
	kindSync     = "sync"
	kindIdentity = "identity"
	kindAccount  = "account"
	kindInfo     = "info"
)

// Limits of com.atproto.sync.subscribeRepos#commit.
const (
	maxOps    = 200
	maxBlocks = 2_000_000
)

// frame joins the header {"t": "#kind", "op": 1} and the body (event stream specification, "Framing").
func frame(kind string, body interface{ MarshalCBOR(io.Writer) error }) ([]byte, error) {
	var b bytes.Buffer
	b.Write([]byte{0xa2, 0x61, 't', 0x60 + byte(len(kind)+1), '#'})
	b.WriteString(kind)
	b.Write([]byte{0x62, 'o', 'p', 0x01})
	if err := body.MarshalCBOR(&b); err != nil {
		return nil, fmt.Errorf("encoding a #%s: %w", kind, err)
	}
	return b.Bytes(), nil
}

// headerLen is the length of the header that frame writes.
func headerLen(kind string) int { return 3 + 2 + len(kind) + 4 }

// errorFrame is {"op": -1} with a name and a message; the connection is closed after it.
func errorFrame(name, message string) []byte {
	b := []byte{0xa1, 0x62, 'o', 'p', 0x20, 0xa2, 0x65, 'e', 'r', 'r', 'o', 'r', 0x60 + byte(len(name))}
	b = append(append(b, name...), 0x67, 'm', 'e', 's', 's', 'a', 'g', 'e', 0x78, byte(len(message)))
	return append(b, message...)
}

func stamp(t time.Time) string { return t.UTC().Format(syntax.AtprotoDatetimeLayout) }

func lexLink(c cid.Cid) *lexutil.LexLink {
	if !c.Defined() {
		return nil
	}
	l := lexutil.LexLink(c)
	return &l
}

func (h *Host) emitIdentity(tx Tx, r *Repo) (int64, error) {
	handle := r.Handle.String()
	return tx.EventAppend(r.ID, kindIdentity, func(seq int64) ([]byte, error) {
		return frame(kindIdentity, &comatproto.SyncSubscribeRepos_Identity{Did: r.DID.String(), Handle: &handle, Seq: seq, Time: stamp(h.now())})
	})
}

func (h *Host) emitAccount(tx Tx, r *Repo) (int64, error) {
	msg := &comatproto.SyncSubscribeRepos_Account{Did: r.DID.String(), Active: r.Status == StatusActive, Time: stamp(h.now())}
	if !msg.Active {
		status := string(r.Status)
		msg.Status = &status
	}
	return tx.EventAppend(r.ID, kindAccount, func(seq int64) ([]byte, error) {
		msg.Seq = seq
		return frame(kindAccount, msg)
	})
}

func (h *Host) emitSync(tx Tx, r *Repo) (int64, error) {
	head, err := cid.Decode(r.Head)
	if err != nil {
		return 0, fmt.Errorf("reading the head: %w", err)
	}
	msg := &comatproto.SyncSubscribeRepos_Sync{Did: r.DID.String(), Rev: r.Rev, Blocks: carBytes(head, Block{head, r.Commit}), Time: stamp(h.now())}
	return tx.EventAppend(r.ID, kindSync, func(seq int64) ([]byte, error) {
		msg.Seq = seq
		return frame(kindSync, msg)
	})
}
