package pds

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
)

const (
	// replayPage is how many events are read at once. Frames reach 2 MB, so the page is small.
	replayPage = 50
	pingEvery  = 30 * time.Second
	// A subscriber that sends nothing, not even pongs, for this long is gone. Relays that hold a host back do not read,
	// and so do not pong, for minutes.
	silence = 15 * time.Minute
)

// subscribeRepos serves com.atproto.sync.subscribeRepos. Each subscriber reads the durable log at its own pace, so a
// backlog of hours is as good as none.
func (h *Host) subscribeRepos(c echo.Context) error {
	cursor := int64(-1)
	if s := c.QueryParam("cursor"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return invalid("cursor must be a non-negative integer")
		}
		cursor = n
	}
	select {
	case h.subs <- struct{}{}:
		defer func() { <-h.subs }()
	default:
		return &xrpcError{http.StatusServiceUnavailable, "TooManySubscribers", "Too many subscribers"}
	}
	// Anyone may read, from any page.
	upgrader := websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 8192, CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(c.Response(), c.Request(), nil)
	if err != nil {
		return nil // the upgrader has answered
	}
	defer func() { _ = ws.Close() }() // a subscriber that is gone cannot be told
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	go listen(ws, cancel)
	s := &subscriber{h: h, ws: ws}
	if err := s.serve(ctx, cursor); err != nil && ctx.Err() == nil {
		h.log.Debug("subscriber cut", "reason", err) // the reason names an address
	}
	return nil
}

// listen reads what a subscriber sends, which is nothing but pongs and a close.
func listen(ws *websocket.Conn, gone func()) {
	defer gone()
	ws.SetReadLimit(1024)
	alive := func(string) error { return ws.SetReadDeadline(time.Now().Add(silence)) }
	ws.SetPongHandler(alive)
	// Relays give up on a host that does not answer their ping in a minute. The answer has to wait for the frame that is
	// under way, which a relay that holds us back makes slow; the library's own handler would drop it after a second.
	ws.SetPingHandler(func(data string) error {
		err := ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Minute))
		return errors.Join(ignoreTimeout(err), alive(""))
	})
	if err := alive(""); err != nil {
		return
	}
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
	}
}

func ignoreTimeout(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return nil
	}
	return err
}

type subscriber struct {
	h  *Host
	ws *websocket.Conn
}

func (s *subscriber) send(frame []byte) error {
	if err := s.ws.SetWriteDeadline(time.Now().Add(s.h.o.SlowConsumer)); err != nil {
		return err
	}
	return s.ws.WriteMessage(websocket.BinaryMessage, frame)
}

// refuse sends an error frame and closes.
func (s *subscriber) refuse(name, message string) error {
	err := s.send(errorFrame(name, message))
	bye := websocket.FormatCloseMessage(websocket.ClosePolicyViolation, name)
	return errors.Join(err, s.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)))
}

func (s *subscriber) serve(ctx context.Context, cursor int64) error {
	floor, newest, err := s.eventRange(ctx)
	switch {
	case err != nil:
		return err
	case cursor > newest:
		return s.refuse("FutureCursor", "Cursor in the future.")
	case cursor < 0:
		cursor = newest
	case cursor < floor:
		message := "Requested cursor exceeded limit. Possibly missing events"
		info, err := frame(kindInfo, &comatproto.SyncSubscribeRepos_Info{Name: "OutdatedCursor", Message: &message})
		if err == nil {
			err = s.send(info)
		}
		if err != nil {
			return err
		}
		cursor = floor
	}
	return s.follow(ctx, cursor)
}

func (s *subscriber) eventRange(ctx context.Context) (floor, newest int64, err error) {
	err = s.h.o.Store.View(ctx, func(tx Tx) (err error) {
		floor, newest, err = tx.EventRange()
		return err
	})
	return floor, newest, err
}

// follow sends all events after the cursor, for ever.
func (s *subscriber) follow(ctx context.Context, cursor int64) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	poll := time.NewTicker(s.h.o.Poll)
	defer poll.Stop()
	for {
		woken := s.h.wake.wait() // before the look, or a commit between both is missed
		events, floor, err := s.page(ctx, cursor)
		if err != nil {
			return err
		}
		if cursor < floor {
			return s.refuse("ConsumerTooSlow", "Stream consumer too slow")
		}
		for _, e := range events {
			if err := s.send(e.Frame); err != nil {
				return err
			}
			cursor = e.Seq
		}
		if len(events) == replayPage {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-poll.C:
		case <-ping.C:
			if err := s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(s.h.o.SlowConsumer)); err != nil {
				return err
			}
		}
	}
}

func (s *subscriber) page(ctx context.Context, cursor int64) (events []StoredEvent, floor int64, err error) {
	err = s.h.o.Store.View(ctx, func(tx Tx) (err error) {
		if floor, _, err = tx.EventRange(); err != nil {
			return err
		}
		events, err = tx.EventsAfter(cursor, replayPage)
		return err
	})
	return events, floor, err
}

// Subscribers is how many connections read the firehose.
func (h *Host) Subscribers() int { return len(h.subs) }
