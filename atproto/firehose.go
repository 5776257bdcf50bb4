package atproto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Source is a firehose to read.
type Source struct {
	// Name is the key of the cursor; default is the URL.
	Name string
	// URL is the base URL of a relay or PDS: http, https, ws or wss.
	URL string
	// PDS says that the source is a single PDS: only accounts that live there are believed.
	PDS bool
}

// fromOldest is the saved cursor that asks for everything the source still has; 0, never saved, asks for what is new.
const fromOldest = -1

var (
	errFutureCursor = errors.New("the source does not know our cursor yet")
	errErrorFrame   = errors.New("error frame")
)

// Run reads a source until ctx ends, reconnecting as needed, then waits for what is under way and saves the cursor.
func (r *Reader) Run(ctx context.Context, src Source) error {
	if src.Name == "" {
		src.Name = src.URL
	}
	s := &session{Reader: r, src: src}
	if !r.persist(ctx, func() (err error) { s.start, err = r.o.Sink.Cursor(ctx, src.Name); return err }) {
		return ctx.Err()
	}
	s.rewind = s.start == fromOldest
	s.marks.reset(max(s.start, 0))
	s.saved.Store(s.start)
	r.heal.startStale(ctx)
	var saver sync.WaitGroup
	saving, stop := context.WithCancel(ctx)
	saver.Go(func() { s.saveLoop(saving) })
	s.connectLoop(ctx)
	stop()
	saver.Wait()
	r.heal.wait()
	s.tasks.Wait()
	s.save(context.WithoutCancel(ctx))
	return ctx.Err()
}

// session is one source being read.
type session struct {
	*Reader
	src    Source
	start  int64
	marks  watermark
	saved  atomic.Int64
	rewind bool           // ask for everything the source still has
	tasks  sync.WaitGroup // events under way
}

func (s *session) connectLoop(ctx context.Context) {
	s.reconnect(ctx, "firehose", func() error {
		err := s.connectOnce(ctx)
		if errors.Is(err, errFutureCursor) && ctx.Err() == nil {
			s.startOver(ctx)
		}
		return err
	})
}

// startOver handles FutureCursor: the source lost sequence numbers (a restored backup, another machine). Everything it
// still has is read again, which does no harm as revs are remembered, and all repos followed are compared.
func (s *session) startOver(ctx context.Context) {
	s.tasks.Wait()
	s.marks.reset(0)
	s.rewind = true
	s.persist(ctx, func() error { return s.o.Sink.SaveCursor(ctx, s.src.Name, fromOldest) })
	s.saved.Store(fromOldest)
	s.lostEvents(ctx)
}

// lostEvents makes sure that what was missed is found by comparing repos.
func (s *session) lostEvents(ctx context.Context) {
	ok := s.persist(ctx, func() error {
		return s.o.Store.Update(ctx, func(tx Tx) error { return tx.StaleAllRemoteHeads() })
	})
	if ok {
		s.heal.startStale(ctx)
	}
}

func (s *session) connectOnce(ctx context.Context) error {
	link, err := s.subscribeURL()
	if err != nil {
		return err
	}
	return s.withConn(ctx, link, func(conn *websocket.Conn) error { return s.readFrames(ctx, conn) })
}

func (s *session) subscribeURL() (string, error) {
	u, err := url.Parse(strings.TrimSuffix(s.src.URL, "/"))
	if err != nil {
		return "", fmt.Errorf("parsing the URL of a firehose: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	}
	u.Path += "/xrpc/com.atproto.sync.subscribeRepos"
	if cursor := s.marks.low(); cursor > 0 || s.rewind {
		u.RawQuery = "cursor=" + strconv.FormatInt(cursor, 10)
	}
	return u.String(), nil
}

func (s *session) readFrames(ctx context.Context, conn *websocket.Conn) error {
	return s.eachMessage(conn, websocket.BinaryMessage, maxFrame, func(raw []byte) error { return s.frame(ctx, raw) })
}

// frame filters one frame. An error ends the connection; strange frames do not.
func (s *session) frame(ctx context.Context, raw []byte) error {
	f, err := peek(raw)
	if err != nil {
		s.stats.Strange.Add(1)
		s.o.Log.Debug("a strange frame was skipped", "error", err)
		return nil
	}
	if f.Op == -1 {
		return errorFrame(f.Body)
	}
	if f.Type == "#info" {
		s.info(ctx, f.Body)
		return nil
	}
	if f.Seq <= 0 {
		s.stats.Strange.Add(1)
		return nil
	}
	s.stats.LastSeq.Store(f.Seq)
	work := s.pick(&f)
	if work == nil {
		s.marks.saw(f.Seq)
		return nil
	}
	s.stats.Wanted.Add(1)
	return s.schedule(ctx, &f, work)
}

// schedule copies the body out of the read buffer and queues the work in the lane of the DID.
func (s *session) schedule(ctx context.Context, f *frame, work func(context.Context, []byte) bool) error {
	body := bytes.Clone(f.Body)
	done := s.marks.begin(f.Seq)
	s.tasks.Add(1)
	err := s.lanes.add(ctx, string(f.DID), func() {
		defer s.tasks.Done()
		if ctx.Err() == nil && work(ctx, body) {
			done()
		}
	})
	if err != nil {
		s.tasks.Done()
	}
	return err
}

// pick returns what to do with a frame, or nil if it concerns nobody here.
func (s *session) pick(f *frame) func(context.Context, []byte) bool {
	switch f.Type {
	case "#commit":
		if s.wanted(f) {
			return s.commit
		}
	case "#sync":
		if s.o.Interest.Author(string(f.DID)) {
			return s.sync
		}
	case "#identity":
		if s.o.Interest.Author(string(f.DID)) || s.removes(f) {
			return s.identity
		}
		s.forget(f.DID)
	case "#account":
		if s.o.Interest.Author(string(f.DID)) || s.removes(f) {
			return s.account
		}
	}
	return nil
}

func (s *session) wanted(f *frame) bool {
	return s.o.Interest.Author(string(f.DID)) || (f.Deletes && s.removes(f)) || s.o.Interest.Mentions(f.Blocks)
}

func (s *session) removes(f *frame) bool {
	r, ok := s.o.Interest.(Remover)
	return ok && r.Removes(string(f.DID))
}

func (s *session) saveLoop(ctx context.Context) {
	tick := time.NewTicker(s.o.SaveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.save(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// save moves the cursor if it can move. A failure is no loss: the next one tries again.
func (s *session) save(ctx context.Context) {
	low := s.marks.low()
	if low <= max(s.saved.Load(), 0) {
		return
	}
	if err := s.o.Sink.SaveCursor(ctx, s.src.Name, low); err != nil {
		s.o.Log.Warn("saving the firehose cursor", "error", err)
		return
	}
	s.saved.Store(low)
}
