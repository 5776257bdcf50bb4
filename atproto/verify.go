package atproto

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/repo/mst"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
)

// ErrForged says that a commit is not what it claims to be: it is dropped, whatever the relay thought of it.
var ErrForged = errors.New("commit does not verify")

// revSkew is how far in the future a rev may be (https://atproto.com/specs/sync: reject far-future revs).
const revSkew = 5 * time.Minute

// verified is a commit whose structure and proof are good; the signature is checked by verifyWithFreshKey.
type verified struct {
	msg    *comatproto.SyncSubscribeRepos_Commit
	commit repo.Commit
	car    *CAR
	data   string // MST root after
	prev   string // MST root before, as proved by inverting the operations
}

// decodeCommit decodes and proves a #commit body: the CAR, the commit block, that each operation is what the tree holds,
// and that undoing the operations gives prevData. It does not check the signature, and says nothing of earlier commits.
func decodeCommit(ctx context.Context, body []byte, now time.Time) (v *verified, err error) {
	defer forgedOnPanic(&err)
	var msg comatproto.SyncSubscribeRepos_Commit
	if err := msg.UnmarshalCBOR(bytes.NewReader(body)); err != nil {
		return nil, fmt.Errorf("%w: decoding: %w", ErrForged, err)
	}
	if err := checkLimits(&msg, now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	car, err := ReadCAR(msg.Blocks)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	v = &verified{msg: &msg, car: car}
	if err := v.readCommit(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if err := v.invert(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return v, nil
}

// forgedOnPanic turns a panic of a library on hostile bytes into an error (indigo's mst trusts PrefixLen, for one).
func forgedOnPanic(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: panic while parsing: %v", ErrForged, p)
	}
}

func checkLimits(msg *comatproto.SyncSubscribeRepos_Commit, now time.Time) error {
	if _, err := syntax.ParseDID(msg.Repo); err != nil {
		return err
	}
	if err := checkRev(msg.Rev, now); err != nil {
		return err
	}
	if msg.Since != nil && *msg.Since >= msg.Rev {
		return errors.New("since is not before rev")
	}
	switch {
	case msg.TooBig || msg.Rebase:
		return errors.New("tooBig and rebase are no longer allowed")
	case len(msg.Ops) > maxOps:
		return fmt.Errorf("more than %d operations", maxOps)
	case len(msg.Blocks) > maxCommitBytes:
		return fmt.Errorf("more than %d bytes of blocks", maxCommitBytes)
	}
	return checkOps(msg.Ops)
}

func checkRev(rev string, now time.Time) error {
	tid, err := syntax.ParseTID(rev)
	if err != nil {
		return err
	}
	if tid.Time().After(now.Add(revSkew)) {
		return errors.New("rev is in the future")
	}
	return nil
}

func checkOps(ops []*comatproto.SyncSubscribeRepos_RepoOp) error {
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		if op == nil {
			return errors.New("null operation")
		}
		if _, _, err := syntax.ParseRepoPath(op.Path); err != nil {
			return err
		}
		if seen[op.Path] {
			return errors.New("a path occurs twice")
		}
		seen[op.Path] = true
		if ok := opShape(op); !ok {
			return fmt.Errorf("operation %q with the wrong CIDs", op.Action)
		}
	}
	return nil
}

func opShape(op *comatproto.SyncSubscribeRepos_RepoOp) bool {
	switch op.Action {
	case "create":
		return op.Cid != nil && op.Prev == nil
	case "update":
		return op.Cid != nil && op.Prev != nil
	case "delete":
		return op.Cid == nil && op.Prev != nil
	}
	return false
}

func (v *verified) readCommit() error {
	c, err := parseCommit(v.car)
	if err != nil {
		return err
	}
	switch {
	case v.car.Root != cid.Cid(v.msg.Commit):
		return errors.New("the CAR's root is not the commit")
	case c.DID != v.msg.Repo:
		return errors.New("the commit is of another repo")
	case c.Rev != v.msg.Rev:
		return errors.New("the commit has another rev")
	}
	v.commit, v.data = *c, c.Data.String()
	return nil
}

// parseCommit reads the commit block at the root of a CAR and insists on canonical bytes: the signature is checked over a
// re-encoding, so bytes that re-encode differently would carry something unsigned.
func parseCommit(car *CAR) (*repo.Commit, error) {
	block := car.Block(car.Root)
	if block == nil {
		return nil, errors.New("the commit block is missing")
	}
	var c repo.Commit
	if err := c.UnmarshalCBOR(bytes.NewReader(block)); err != nil {
		return nil, fmt.Errorf("the commit block: %w", err)
	}
	if err := c.VerifyStructure(); err != nil {
		return nil, err
	}
	var again bytes.Buffer
	if err := c.MarshalCBOR(&again); err != nil {
		return nil, fmt.Errorf("encoding the commit again: %w", err)
	}
	if !bytes.Equal(again.Bytes(), block) {
		return nil, errors.New("the commit block is not canonical")
	}
	return &c, nil
}

// loadTree loads the part of the tree that the CAR holds and checks its shape.
func loadTree(ctx context.Context, car *CAR, root cid.Cid) (*mst.Tree, error) {
	tree, err := mst.LoadTreeFromStore(ctx, nodeSource{car}, root)
	if err != nil {
		return nil, fmt.Errorf("loading the tree: %w", err)
	}
	if err := tree.Verify(); err != nil {
		return nil, fmt.Errorf("the tree: %w", err)
	}
	return tree, nil
}

// invert is the inductive proof of https://atproto.com/specs/sync: apply the operations backwards to the partial tree
// and compare the root with prevData.
func (v *verified) invert(ctx context.Context) error {
	tree, err := loadTree(ctx, v.car, v.commit.Data)
	if err != nil {
		return err
	}
	ops := make([]repo.Operation, 0, len(v.msg.Ops))
	for _, op := range v.msg.Ops {
		o := repo.Operation{Path: op.Path, Value: (*cid.Cid)(op.Cid), Prev: (*cid.Cid)(op.Prev)}
		if o.Value != nil && v.car.Block(*o.Value) == nil {
			return errors.New("a record is missing")
		}
		if err := repo.CheckOp(tree, &o); err != nil {
			return fmt.Errorf("the tree does not hold what an operation says: %w", err)
		}
		ops = append(ops, o)
	}
	if ops, err = repo.NormalizeOps(ops); err != nil {
		return err
	}
	for i := range ops {
		if err := repo.InvertOp(tree, &ops[i]); err != nil {
			return err
		}
	}
	return v.compareRoot(tree)
}

func (v *verified) compareRoot(tree *mst.Tree) error {
	computed, err := tree.RootCID()
	if err != nil {
		return fmt.Errorf("the tree before: %w", err)
	}
	v.prev = computed.String()
	if v.msg.PrevData == nil {
		if !tree.IsEmpty() {
			return errors.New("prevData is missing although the repo was not empty")
		}
		return nil
	}
	if cid.Cid(*v.msg.PrevData) != *computed {
		return errors.New("undoing the operations does not give prevData")
	}
	return nil
}

// since is the rev before, empty for the first commit of a repo.
func (v *verified) since() string {
	if v.msg.Since == nil {
		return ""
	}
	return *v.msg.Since
}

// toCommit decodes the records. A record that is not valid data is left out: the chain goes on, the record does not.
func (v *verified) toCommit() Commit {
	c := Commit{
		Seq: v.msg.Seq, DID: syntax.DID(v.commit.DID), Rev: v.commit.Rev, CID: v.car.Root.String(),
		Time: eventTime(v.msg.Time), Evidence: v.msg.Blocks,
	}
	for _, op := range v.msg.Ops {
		o, err := v.toOp(op)
		if err == nil {
			c.Ops = append(c.Ops, o)
		}
	}
	return c
}

func (v *verified) toOp(op *comatproto.SyncSubscribeRepos_RepoOp) (Op, error) {
	o := newOp(op.Action, op.Path)
	if op.Prev != nil {
		o.Prev = cid.Cid(*op.Prev).String()
	}
	if op.Cid == nil {
		return o, nil
	}
	o.CID = cid.Cid(*op.Cid).String()
	var err error
	o.Record, err = recordJSON(v.car.Block(cid.Cid(*op.Cid)))
	return o, err
}

// newOp splits a path that was checked before.
func newOp(action, path string) Op {
	collection, rkey, _ := strings.Cut(path, "/")
	return Op{Action: action, Collection: syntax.NSID(collection), RKey: syntax.RecordKey(rkey)}
}

// recordJSON turns a DAG-CBOR record into the JSON of the data model.
func recordJSON(block []byte) (out json.RawMessage, err error) {
	defer forgedOnPanic(&err)
	if len(block) > maxRecord {
		return nil, fmt.Errorf("record longer than %d bytes", maxRecord)
	}
	data, err := atdata.UnmarshalCBOR(block)
	if err != nil {
		return nil, fmt.Errorf("decoding a record: %w", err)
	}
	return marshalJSON(data)
}

// marshalJSON encodes without escaping <, > and &, so that text reads as it was written.
func marshalJSON(data any) (json.RawMessage, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// eventTime reads the time of an event; a wrong one is no reason to lose the event.
func eventTime(s string) time.Time {
	t, err := syntax.ParseDatetimeLenient(s)
	if err != nil {
		return time.Time{}
	}
	return t.Time()
}
