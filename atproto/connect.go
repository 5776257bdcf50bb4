package atproto

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gorilla/websocket"
)

// Times of a connection. A relay of a small network may be silent for long, so silence is told from death by pings.
const (
	pingEvery   = 20 * time.Second
	readTimeout = 60 * time.Second
	writeWait   = 10 * time.Second
	stableAfter = 30 * time.Second
	// hardFrame ends the connection; frames between maxFrame and this are skipped.
	hardFrame = 64 << 20
)

// reconnect calls once again and again until ctx ends, pausing longer after each failure in a row.
func (r *Reader) reconnect(ctx context.Context, what string, once func() error) {
	for n := 1; ; n++ {
		began := time.Now()
		err := once()
		if ctx.Err() != nil {
			return
		}
		r.stats.Reconnects.Add(1)
		r.o.Log.Warn("a stream ended, connecting again", "stream", what, "attempt", n, "error", err)
		if time.Since(began) > stableAfter {
			n = 1
		}
		if !pause(ctx, r.o.Backoff(n)) {
			return
		}
	}
}

// withConn dials and uses a connection, which ends with ctx.
func (r *Reader) withConn(ctx context.Context, link string, use func(*websocket.Conn) error) error {
	conn, resp, err := r.o.Dialer.DialContext(ctx, link, nil)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
			return fmt.Errorf("dialling a stream: status %d: %w", resp.StatusCode, err)
		}
		return fmt.Errorf("dialling a stream: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	conn.SetReadLimit(hardFrame)
	extend := func(string) error { return conn.SetReadDeadline(time.Now().Add(readTimeout)) }
	if err := extend(""); err != nil {
		return fmt.Errorf("reading a stream: %w", err)
	}
	conn.SetPongHandler(extend)
	done := make(chan struct{})
	defer close(done)
	go keepAlive(conn, done)
	return use(conn)
}

// keepAlive pings, so that a dead connection is told from a silent one.
func keepAlive(conn *websocket.Conn, done <-chan struct{}) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) != nil {
				return
			}
		}
	}
}

// eachMessage hands over messages of at most limit bytes, valid until the next; longer ones, and those of another kind,
// are counted and skipped. It ends with the connection or the first error of f.
func (r *Reader) eachMessage(conn *websocket.Conn, kind int, limit int64, f func([]byte) error) error {
	var buf bytes.Buffer
	for {
		got, reader, err := conn.NextReader()
		if err != nil {
			return fmt.Errorf("reading a stream: %w", err)
		}
		buf.Reset()
		n, err := buf.ReadFrom(io.LimitReader(reader, limit+1))
		if err != nil {
			return fmt.Errorf("reading a stream: %w", err)
		}
		r.stats.Frames.Add(1)
		if got != kind || n > limit {
			r.stats.Strange.Add(1)
			continue
		}
		if err := f(buf.Bytes()); err != nil {
			return err
		}
	}
}
