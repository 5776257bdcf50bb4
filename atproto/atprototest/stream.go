package atprototest

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// stream is a subscribeRepos server over a log in memory.
type stream struct {
	mu     sync.Mutex
	base   int64 // seq of the entry before the first kept
	frames [][]byte
	times  []time.Time
	wake   chan struct{}
	closed bool
	// readers counts the subscribers.
	readers int
}

func newStream() *stream { return &stream{wake: make(chan struct{})} }

// event is a message of subscribeRepos.
type event interface{ cbg.CBORMarshaler }

// publish gives an event the next seq and appends it; build makes the event of its seq.
func (s *stream) publish(kind string, build func(seq int64) event) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := s.base + int64(len(s.frames)) + 1
	s.frames = append(s.frames, encodeFrame(kind, build(seq)))
	s.times = append(s.times, time.Now())
	s.ring()
	return seq
}

// ring wakes the readers.
func (s *stream) ring() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// publishRaw appends any bytes as a frame: for scenarios about hostile hosts.
func (s *stream) publishRaw(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, frame)
	s.times = append(s.times, time.Now())
	s.ring()
}

func encodeFrame(kind string, e event) []byte {
	var buf bytes.Buffer
	buf.WriteByte(0xa2)
	buf.WriteString("\x61t")
	buf.WriteByte(0x60 + byte(len(kind)))
	buf.WriteString(kind)
	buf.WriteString("\x62op\x01")
	if err := e.MarshalCBOR(&buf); err != nil {
		panic(err) // our own structs, into memory
	}
	return buf.Bytes()
}

// errorFrame is {"op": -1}{"error": name}.
func errorFrame(name string) []byte {
	var buf bytes.Buffer
	buf.WriteString("\xa1\x62op\x20\xa1\x65error")
	buf.WriteByte(0x60 + byte(len(name)))
	buf.WriteString(name)
	return buf.Bytes()
}

// infoFrame is #info with a name.
func infoFrame(name string) []byte {
	var buf bytes.Buffer
	buf.WriteString("\xa2\x61t\x65#info\x62op\x01\xa1\x64name")
	buf.WriteByte(0x60 + byte(len(name)))
	buf.WriteString(name)
	return buf.Bytes()
}

// trim forgets all but the newest n events, as after the replay window.
func (s *stream) trim(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cut := len(s.frames) - n
	if cut <= 0 {
		return
	}
	s.base += int64(cut)
	s.frames, s.times = s.frames[cut:], s.times[cut:]
}

// forgetAll starts numbering anew, as a host restored from an old backup does.
func (s *stream) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.frames, s.times = 0, nil, nil
	s.ring()
}

func (s *stream) last() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base + int64(len(s.frames))
}

// after returns the frames after seq and a channel that closes when there are more.
func (s *stream) after(seq int64) ([][]byte, int64, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := min(max(seq-s.base, 0), int64(len(s.frames)))
	return s.frames[from:], s.base + int64(len(s.frames)), s.wake, s.closed
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.ring()
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

// serve implements com.atproto.sync.subscribeRepos.
func (s *stream) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	cursor, hasCursor := int64(0), false
	if q := r.URL.Query().Get("cursor"); q != "" {
		n, err := strconv.ParseInt(q, 10, 64)
		if err != nil {
			return nil, badRequest("cursor: %v", err)
		}
		cursor, hasCursor = n, true
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return nil, nil // the upgrader has answered
	}
	defer func() { _ = conn.Close() }()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	last := s.last()
	switch {
	case !hasCursor:
		cursor = last
	case cursor > last:
		_ = conn.WriteMessage(websocket.BinaryMessage, errorFrame("FutureCursor"))
		return nil, nil
	case cursor < s.oldest():
		_ = conn.WriteMessage(websocket.BinaryMessage, infoFrame("OutdatedCursor"))
	}
	s.pump(conn, cursor, gone)
	return nil, nil
}

func (s *stream) oldest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

func (s *stream) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers += n
}

func (s *stream) pump(conn *websocket.Conn, cursor int64, gone <-chan struct{}) {
	s.count(1)
	defer s.count(-1)
	for {
		frames, next, wake, closed := s.after(cursor)
		if closed {
			return
		}
		for _, f := range frames {
			if conn.WriteMessage(websocket.BinaryMessage, f) != nil {
				return
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
