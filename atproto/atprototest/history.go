package atprototest

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// RelayEvent is something that the relay let through: one op of a commit, or what an account became.
type RelayEvent struct {
	At  time.Time `json:"-"`
	Seq int64     `json:"-"`
	DID string    `json:"did"`
	// Action is create, update or delete, "account" or "sync".
	Action string `json:"action"`
	URI    string `json:"uri,omitempty"`
	CID    string `json:"cid,omitempty"`
	// Record is the record in the JSON form of the data model.
	Record json.RawMessage `json:"record,omitempty"`
	// Status of an account, empty if it is active.
	Status string `json:"status,omitempty"`
}

// History is what the relay let through after a place in its log, in order, and the next place.
func (y *Relay) History(after int64) (events []RelayEvent, next int64) {
	y.stream.mu.Lock()
	from := min(max(after-y.stream.base, 0), int64(len(y.stream.frames)))
	frames, times := y.stream.frames[from:], y.stream.times[from:]
	next = y.stream.base + int64(len(y.stream.frames))
	y.stream.mu.Unlock()
	top := after
	for i, frame := range frames {
		m, err := parseFrame(frame)
		if err != nil || m.seq <= top {
			continue // a raw frame of a scenario, or one sent again
		}
		top = m.seq
		for _, e := range m.history() {
			e.At, e.Seq = times[i], m.seq
			events = append(events, e)
		}
	}
	return events, next
}

// FramesOf are the newest n events of an account as they went over the wire, for sending them again.
func (y *Relay) FramesOf(did string, n int) (out [][]byte) {
	frames, _, _, _ := y.stream.after(0)
	for i := len(frames) - 1; i >= 0 && len(out) < n; i-- {
		if m, err := parseFrame(frames[i]); err == nil && m.did == did {
			out = append(out, frames[i])
		}
	}
	return out
}

func (m *message) history() []RelayEvent {
	switch {
	case m.account != nil:
		status := ""
		if m.account.Status != nil {
			status = *m.account.Status
		}
		return []RelayEvent{{DID: m.did, Action: "account", Status: status}}
	case m.sync != nil:
		return []RelayEvent{{DID: m.did, Action: "sync"}}
	case m.commit != nil:
		return m.ops()
	}
	return nil
}

func (m *message) ops() (out []RelayEvent) {
	ctx := context.Background()
	_, r, err := repo.LoadRepoFromCAR(ctx, bytes.NewReader(m.commit.Blocks))
	if err != nil {
		return nil
	}
	for _, op := range m.commit.Ops {
		e := RelayEvent{DID: m.did, Action: op.Action, URI: "at://" + m.did + "/" + op.Path}
		if op.Cid != nil {
			e.CID = op.Cid.String()
			nsid, rkey, _ := syntax.ParseRepoPath(op.Path) // was checked by the relay
			raw, _, err := r.GetRecordBytes(ctx, nsid, rkey)
			if err != nil {
				continue
			}
			if data, err := atdata.UnmarshalCBOR(raw); err == nil {
				e.Record, _ = json.Marshal(data) // the data model is JSON
			}
		}
		out = append(out, e)
	}
	return out
}
