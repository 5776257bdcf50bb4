package atprototest

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/repo"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
)

// Jetstream serves what the relay sends as JSON, as Jetstream's /subscribe does: unsigned, filtered by wantedDids. Its
// time_us is a sequence of its own.
type Jetstream struct {
	server
	relay *Relay

	mu sync.Mutex
	// Lie, when set, changes events before they are sent.
	lie func(map[string]any)
}

// StartJetstream starts a Jetstream over the network's relay; it ends with Close.
func (n *Network) StartJetstream() (*Jetstream, error) {
	j := &Jetstream{relay: n.Relay}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /subscribe", j.subscribe)
	return j, j.listen("", mux)
}

// Close stops it.
func (j *Jetstream) Close() { j.close() }

// Lie changes every event before it is sent; nil tells the truth again.
func (j *Jetstream) Lie(f func(map[string]any)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lie = f
}

func (j *Jetstream) subscribe(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	var wanted sync.Map // holds one value under "dids"
	wanted.Store("dids", r.URL.Query()["wantedDids"])
	helloed, gone := make(chan struct{}), make(chan struct{})
	go readOptions(conn, &wanted, helloed, gone)
	cursor := j.relay.stream.last()
	if q := r.URL.Query().Get("cursor"); q != "" {
		if cursor, err = strconv.ParseInt(q, 10, 64); err != nil {
			return
		}
		cursor -= microBase + 1 // the cursor is inclusive
	}
	if r.URL.Query().Get("requireHello") == "true" {
		select {
		case <-helloed:
		case <-gone:
			return
		}
	}
	j.pump(r.Context(), conn, cursor, &wanted, gone)
}

// microBase makes sequences look like unix microseconds.
const microBase = 1_700_000_000_000_000

func readOptions(conn *websocket.Conn, wanted *sync.Map, helloed, gone chan struct{}) {
	defer close(gone)
	var once sync.Once
	for {
		var msg struct {
			Type    string
			Payload struct{ WantedDids []string }
		}
		if conn.ReadJSON(&msg) != nil {
			return
		}
		if msg.Type == "options_update" {
			wanted.Store("dids", msg.Payload.WantedDids)
			once.Do(func() { close(helloed) })
		}
	}
}

func (j *Jetstream) pump(ctx context.Context, conn *websocket.Conn, cursor int64, wanted *sync.Map, gone <-chan struct{}) {
	for {
		frames, next, wake, closed := j.relay.stream.after(cursor)
		if closed {
			return
		}
		for _, raw := range frames {
			for _, e := range events(ctx, raw) {
				dids, _ := wanted.Load("dids")
				if list := dids.([]string); len(list) > 0 && !slices.Contains(list, e["did"].(string)) {
					continue
				}
				j.mu.Lock()
				if j.lie != nil {
					j.lie(e)
				}
				j.mu.Unlock()
				if conn.WriteJSON(e) != nil {
					return
				}
			}
		}
		cursor = next
		if len(frames) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-gone:
			return
		}
	}
}

// events makes Jetstream's events of one frame.
func events(ctx context.Context, raw []byte) []map[string]any {
	m, err := parseFrame(raw)
	if err != nil || m.seq == 0 {
		return nil
	}
	base := func(kind string) map[string]any {
		return map[string]any{"did": m.did, "time_us": microBase + m.seq, "kind": kind}
	}
	switch {
	case m.identity != nil:
		e := base("identity")
		e["identity"] = map[string]any{"did": m.did, "seq": m.seq, "time": m.identity.Time}
		return []map[string]any{e}
	case m.account != nil:
		e := base("account")
		account := map[string]any{"did": m.did, "active": m.account.Active, "seq": m.seq, "time": m.account.Time}
		if m.account.Status != nil {
			account["status"] = *m.account.Status
		}
		e["account"] = account
		return []map[string]any{e}
	case m.commit != nil:
		return commitEvents(ctx, m, base)
	}
	return nil
}

func commitEvents(ctx context.Context, m *message, base func(string) map[string]any) []map[string]any {
	_, r, err := repo.LoadRepoFromCAR(ctx, bytes.NewReader(m.commit.Blocks))
	if err != nil {
		return nil
	}
	var out []map[string]any
	for _, op := range m.commit.Ops {
		collection, rkey, _ := strings.Cut(op.Path, "/")
		c := map[string]any{"rev": m.commit.Rev, "operation": op.Action, "collection": collection, "rkey": rkey}
		if op.Cid != nil {
			block, id, err := r.GetRecordBytes(ctx, syntax.NSID(collection), syntax.RecordKey(rkey))
			if err != nil {
				continue
			}
			data, err := atdata.UnmarshalCBOR(block)
			if err != nil {
				continue
			}
			c["record"], c["cid"] = data, id.String()
		}
		e := base("commit")
		e["commit"] = c
		out = append(out, e)
	}
	return out
}
