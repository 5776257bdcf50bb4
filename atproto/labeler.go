package atproto

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/labeling"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
)

// Label is what a labeler says of an account or a record, its signature verified (https://atproto.com/specs/label).
type Label struct {
	Labeler syntax.DID
	// URI is a DID or an at-uri. CID, if set, limits the label to that version of the record.
	URI, CID string
	Val      string
	// Neg takes an earlier label of the same labeler, URI and value back.
	Neg     bool
	Created time.Time
	// Expires is zero for a label that does not.
	Expires time.Time
}

// Subject is the DID that the label is about, or "" for other things.
func (l Label) Subject() syntax.DID {
	rest := strings.TrimPrefix(l.URI, "at://")
	did, _, _ := strings.Cut(rest, "/")
	parsed, err := syntax.ParseDID(did)
	if err != nil {
		return ""
	}
	return parsed
}

// LabelSink takes labels; it returns nil only when the label is durable. Labels may come twice.
type LabelSink func(context.Context, Label) error

// RunLabeler reads the labels of one labeler (com.atproto.label.subscribeLabels) until ctx ends, handing on those about
// authors and mentioned DIDs of the Interest. The cursor goes to the reader's Sink under the name "labels:<did>".
func (r *Reader) RunLabeler(ctx context.Context, labeler syntax.DID, sink LabelSink) error {
	l := &labelSession{Reader: r, did: labeler, sink: sink, name: "labels:" + string(labeler)}
	if !r.persist(ctx, func() (err error) { l.cursor, err = r.o.Sink.Cursor(ctx, l.name); return err }) {
		return ctx.Err()
	}
	r.reconnect(ctx, "labels", func() error { return l.connectOnce(ctx) })
	return ctx.Err()
}

type labelSession struct {
	*Reader
	did    syntax.DID
	sink   LabelSink
	name   string
	cursor int64
}

func (l *labelSession) connectOnce(ctx context.Context) error {
	doc, err := l.o.Resolver.Document(ctx, l.did)
	if err != nil {
		return fmt.Errorf("looking up a labeler: %w", err)
	}
	base, key := doc.Services["atproto_labeler"], doc.Keys["atproto_label"]
	if base == "" || key == "" {
		l.o.Resolver.Purge(l.did) // it may be one soon
		return fmt.Errorf("the DID is no labeler: %w", ErrNotFound)
	}
	u, err := url.Parse(base)
	if err != nil {
		return fmt.Errorf("parsing the URL of a labeler: %w", err)
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path, u.RawQuery = "/xrpc/com.atproto.label.subscribeLabels", "cursor="+strconv.FormatInt(l.cursor, 10)
	return l.withConn(ctx, u.String(), func(conn *websocket.Conn) error {
		return l.eachMessage(conn, websocket.BinaryMessage, maxFrame, func(raw []byte) error { return l.frame(ctx, raw) })
	})
}

func (l *labelSession) frame(ctx context.Context, raw []byte) error {
	f, err := peek(raw)
	switch {
	case err != nil:
		l.stats.Strange.Add(1)
		return nil //nolint:nilerr // a strange frame is skipped
	case f.Op == -1:
		err := errorFrame(f.Body)
		if errors.Is(err, errFutureCursor) {
			l.cursor = 0 // all labels anew: each only says again what holds
		}
		return err
	case f.Type != "#labels":
		return nil
	}
	var msg comatproto.LabelSubscribeLabels_Labels
	if err := decode(&msg, f.Body); err != nil {
		l.stats.Strange.Add(1)
		return nil //nolint:nilerr // a strange frame is skipped
	}
	for _, raw := range msg.Labels {
		if raw != nil && !l.label(ctx, raw) {
			return ctx.Err()
		}
	}
	l.cursor = max(l.cursor, msg.Seq)
	if !l.persist(ctx, func() error { return l.o.Sink.SaveCursor(ctx, l.name, l.cursor) }) {
		return ctx.Err()
	}
	return nil
}

// label verifies one label and hands it on; it reports whether it is settled.
func (l *labelSession) label(ctx context.Context, raw *comatproto.LabelDefs_Label) bool {
	out := Label{Labeler: l.did, URI: raw.Uri, Val: raw.Val, Neg: raw.Neg != nil && *raw.Neg, Created: eventTime(raw.Cts)}
	if raw.Cid != nil {
		out.CID = *raw.Cid
	}
	if raw.Exp != nil {
		out.Expires = eventTime(*raw.Exp)
	}
	subject := string(out.Subject())
	if subject == "" || (!l.o.Interest.Author(subject) && !l.o.Interest.Mentions([]byte(subject))) {
		return true
	}
	if raw.Src != string(l.did) {
		l.stats.Forged.Add(1)
		return true
	}
	var verdict error
	settled := l.persist(ctx, func() error {
		err := l.verify(ctx, raw)
		if errors.Is(err, ErrForged) || errors.Is(err, ErrNotFound) {
			verdict, err = err, nil
		}
		return err
	})
	if verdict != nil {
		l.stats.Forged.Add(1)
		l.o.Log.Warn("a label did not verify and was dropped", "error", verdict)
	}
	if !settled || verdict != nil {
		return settled
	}
	return l.persist(ctx, func() error { return l.sink(ctx, out) })
}

func (l *labelSession) verify(ctx context.Context, raw *comatproto.LabelDefs_Label) (err error) {
	defer forgedOnPanic(&err)
	label := labeling.FromLexicon(raw)
	if err := label.VerifySyntax(); err != nil {
		return fmt.Errorf("%w: %w", ErrForged, err)
	}
	for try := 0; ; try++ {
		doc, err := l.o.Resolver.Document(ctx, l.did)
		if err != nil {
			return fmt.Errorf("looking up a labeler: %w", err)
		}
		key, err := atcrypto.ParsePublicDIDKey(doc.Keys["atproto_label"])
		if err != nil {
			return fmt.Errorf("%w: the labeler's key: %w", ErrForged, err)
		}
		if err = label.VerifySignature(key); err == nil {
			return nil
		}
		if try > 0 || !l.o.Resolver.mayRefresh(l.did) {
			return fmt.Errorf("%w: signature: %w", ErrForged, err)
		}
		l.o.Resolver.Purge(l.did)
	}
}
