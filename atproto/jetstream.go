package atproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
)

// maxWantedDids is how many DIDs Jetstream takes (https://github.com/bluesky-social/jetstream, consuming).
const maxWantedDids = 10_000

// JetstreamSource is a Jetstream to read instead of a firehose. It costs a seventh of the bytes, but nothing in it is
// signed: each event of concern is proved anew at the author's PDS before it is believed.
type JetstreamSource struct {
	// Name is the key of the cursor; default is the URL.
	Name string
	// URL is the base URL (https or wss).
	URL string
	// Wanted lists the DIDs to ask for. Nil asks for everybody and filters here, which alone sees strangers who follow or
	// answer a copy; so does a list that has grown too long for the server.
	Wanted func() []string
	// Renew is how often Wanted is asked again (default one minute).
	Renew time.Duration
}

// jetEvent is an event of Jetstream; time_us is both its sequence and its cursor.
type jetEvent struct {
	DID    string `json:"did"`
	TimeUS int64  `json:"time_us"`
	Kind   string `json:"kind"`
	Commit *struct {
		Rev        string `json:"rev"`
		Operation  string `json:"operation"`
		Collection string `json:"collection"`
		RKey       string `json:"rkey"`
	} `json:"commit"`
	Account *struct {
		Active bool   `json:"active"`
		Status string `json:"status"`
		Time   string `json:"time"`
	} `json:"account"`
}

// RunJetstream reads a Jetstream until ctx ends, as Run reads a firehose.
func (r *Reader) RunJetstream(ctx context.Context, src JetstreamSource) error {
	if src.Name == "" {
		src.Name = src.URL
	}
	if src.Renew <= 0 {
		src.Renew = time.Minute
	}
	s := &session{Reader: r, src: Source{Name: src.Name, URL: src.URL}}
	if !r.persist(ctx, func() (err error) { s.start, err = r.o.Sink.Cursor(ctx, src.Name); return err }) {
		return ctx.Err()
	}
	s.marks.reset(max(s.start, 0))
	s.saved.Store(s.start)
	saving, stop := context.WithCancel(ctx)
	var saver sync.WaitGroup
	saver.Go(func() { s.saveLoop(saving) })
	j := &jetSession{session: s, jet: src}
	r.reconnect(ctx, "jetstream", func() error { return j.connectOnce(ctx) })
	stop()
	saver.Wait()
	s.tasks.Wait()
	s.save(context.WithoutCancel(ctx))
	return ctx.Err()
}

type jetSession struct {
	*session
	jet JetstreamSource
}

func (j *jetSession) link() (string, error) {
	u, err := url.Parse(strings.TrimSuffix(j.jet.URL, "/"))
	if err != nil {
		return "", fmt.Errorf("parsing the URL of a Jetstream: %w", err)
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path += "/subscribe"
	q := url.Values{"requireHello": {"true"}, "maxMessageSizeBytes": {strconv.Itoa(maxJSON)}}
	if cursor := j.marks.low(); cursor > 0 {
		q.Set("cursor", strconv.FormatInt(cursor, 10))
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func (j *jetSession) connectOnce(ctx context.Context) error {
	link, err := j.link()
	if err != nil {
		return err
	}
	return j.withConn(ctx, link, func(conn *websocket.Conn) error {
		if err := j.hello(conn); err != nil {
			return err
		}
		done := make(chan struct{})
		defer close(done)
		go j.renew(conn, done)
		return j.eachMessage(conn, websocket.TextMessage, maxJSON, func(raw []byte) error { return j.event(ctx, raw) })
	})
}

// hello sends the options; with requireHello the server waits for them.
func (j *jetSession) hello(conn *websocket.Conn) error {
	wanted := []string{}
	if j.jet.Wanted != nil {
		if list := j.jet.Wanted(); len(list) > 0 && len(list) <= maxWantedDids {
			wanted = list
		}
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return fmt.Errorf("sending options to the Jetstream: %w", err)
	}
	msg := map[string]any{"type": "options_update", "payload": map[string]any{"wantedDids": wanted, "wantedCollections": []string{}, "maxMessageSizeBytes": maxJSON}}
	if err := conn.WriteJSON(msg); err != nil {
		return fmt.Errorf("sending options to the Jetstream: %w", err)
	}
	return nil
}

// renew tells the server about new members. It is the connection's only writer of data after hello.
func (j *jetSession) renew(conn *websocket.Conn, done <-chan struct{}) {
	if j.jet.Wanted == nil {
		return
	}
	tick := time.NewTicker(j.jet.Renew)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if j.hello(conn) != nil {
				return // the reader sees the end too
			}
		}
	}
}

func (j *jetSession) event(ctx context.Context, raw []byte) error {
	var e jetEvent
	if err := json.Unmarshal(raw, &e); err != nil || e.TimeUS <= 0 {
		j.stats.Strange.Add(1)
		return nil //nolint:nilerr // a strange event is skipped
	}
	j.stats.LastSeq.Store(e.TimeUS)
	work := j.pick(&e, raw)
	if work == nil {
		j.marks.saw(e.TimeUS)
		return nil
	}
	j.stats.Wanted.Add(1)
	done := j.marks.begin(e.TimeUS)
	j.tasks.Add(1)
	err := j.lanes.add(ctx, e.DID, func() {
		defer j.tasks.Done()
		if ctx.Err() == nil && work(ctx) {
			done()
		}
	})
	if err != nil {
		j.tasks.Done()
	}
	return err
}

func (j *jetSession) pick(e *jetEvent, raw []byte) func(context.Context) bool {
	author := j.o.Interest.Author(e.DID)
	remover, _ := j.o.Interest.(Remover)
	watched := remover != nil && remover.Removes(e.DID)
	did := syntax.DID(e.DID)
	switch {
	case e.Kind == "commit" && e.Commit != nil:
		if author || (watched && e.Commit.Operation == "delete") || j.o.Interest.Mentions(raw) {
			return func(ctx context.Context) bool { return j.prove(ctx, e) }
		}
	case e.Kind == "identity":
		if author || watched {
			return func(ctx context.Context) bool {
				return j.identityChanged(ctx, did, nil, e.TimeUS, time.UnixMicro(e.TimeUS))
			}
		}
		j.o.Resolver.Purge(did)
	case e.Kind == "account" && e.Account != nil:
		if author || watched {
			event := AccountEvent{Seq: e.TimeUS, DID: did, Kind: "account", Active: e.Account.Active, Status: e.Account.Status, Time: time.UnixMicro(e.TimeUS)}
			return func(ctx context.Context) bool { return j.accountChanged(ctx, event) }
		}
	}
	return nil
}

// prove asks the author's PDS for the record with its proof and believes only that: a record is created if the signed
// tree holds it, deleted if the tree proves that it does not.
func (j *jetSession) prove(ctx context.Context, e *jetEvent) bool {
	path := e.Commit.Collection + "/" + e.Commit.RKey
	if _, _, err := syntax.ParseRepoPath(path); err != nil {
		j.stats.Strange.Add(1)
		return true
	}
	did := syntax.DID(e.DID)
	var rec *Record
	var evidence []byte
	absent := false
	settled, ok := j.trusted(ctx, did, e.Commit.Rev, func() (err error) {
		rec, evidence, err = j.client.GetRecordProof(ctx, recordURI(did, syntax.NSID(e.Commit.Collection), syntax.RecordKey(e.Commit.RKey)))
		if absent = errors.Is(err, ErrNotFound) && len(evidence) > 0; absent {
			return nil
		}
		return err
	})
	if !ok {
		return settled
	}
	if absent != (e.Commit.Operation == "delete") {
		return true // the record was deleted or made again since; that event comes too
	}
	op := newOp(e.Commit.Operation, path)
	if rec != nil {
		op.CID, op.Record = rec.CID, rec.Value
	}
	// Several events come of one commit; the path keeps them apart where revs are remembered.
	c := Commit{Seq: e.TimeUS, DID: did, Rev: e.Commit.Rev + ":" + path, Time: time.UnixMicro(e.TimeUS), Ops: []Op{op}, Evidence: evidence}
	j.stats.Commits.Add(1)
	return j.persist(ctx, func() error { return j.o.Sink.Commit(ctx, j.src.Name, c) })
}
