package main

import (
	"context"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// firehose reads everything that the bridge's PDS has put on its firehose, from the beginning.
func (w *world) firehose(ctx context.Context) ([]byte, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	conn, resp, err := dialer.DialContext(ctx, strings.Replace("http://localhost:9000", "http", "ws", 1)+"/xrpc/com.atproto.sync.subscribeRepos?cursor=0", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // only read
	_ = resp.Body.Close()               // the handshake's
	var all []byte
	for {
		if err := conn.SetReadDeadline(time.Now().Add(700 * time.Millisecond)); err != nil {
			return nil, err
		}
		_, frame, err := conn.ReadMessage()
		if err != nil { // nothing more comes
			return all, nil //nolint:nilerr // that is the end
		}
		all = append(all, frame...)
	}
}
