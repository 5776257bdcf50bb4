package store

import (
	"fmt"

	"github.com/bluesky-social/indigo/atproto/syntax"

	"footbridge/atproto"
)

var _ atproto.Tx = (*Tx)(nil)

// FirehoseCursor implements atproto.Tx.
func (tx *Tx) FirehoseCursor(source string) (int64, error) {
	var seq int64
	_, err := tx.get("SELECT seq FROM firehose_cursor WHERE source = ?", []any{source}, &seq)
	if err != nil {
		return 0, fmt.Errorf("reading a firehose cursor: %w", err)
	}
	return seq, nil
}

// SetFirehoseCursor implements atproto.Tx.
func (tx *Tx) SetFirehoseCursor(source string, seq int64) error {
	_, err := tx.exec("INSERT INTO firehose_cursor (source, seq) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET seq = excluded.seq", source, seq)
	if err != nil {
		return fmt.Errorf("moving a firehose cursor: %w", err)
	}
	return nil
}

// RemoteHead implements atproto.Tx.
func (tx *Tx) RemoteHead(did syntax.DID) (*atproto.RemoteHead, error) {
	h := atproto.RemoteHead{DID: did}
	var stale int64
	ok, err := tx.get("SELECT rev, data, stale FROM remote_head WHERE did = ?", []any{string(did)}, &h.Rev, &h.Data, &stale)
	if err != nil {
		return nil, fmt.Errorf("reading the head of a repo: %w", err)
	}
	if !ok {
		return nil, nil
	}
	h.Stale = stale != 0
	return &h, nil
}

// PutRemoteHead implements atproto.Tx.
func (tx *Tx) PutRemoteHead(h atproto.RemoteHead) error {
	stale := 0
	if h.Stale {
		stale = 1
	}
	_, err := tx.exec(`INSERT INTO remote_head (did, rev, data, stale) VALUES (?, ?, ?, ?)
		ON CONFLICT (did) DO UPDATE SET rev = excluded.rev, data = excluded.data, stale = excluded.stale`, string(h.DID), h.Rev, h.Data, stale)
	if err != nil {
		return fmt.Errorf("keeping the head of a repo: %w", err)
	}
	return nil
}

// DropRemoteHead implements atproto.Tx.
func (tx *Tx) DropRemoteHead(did syntax.DID) error {
	if _, err := tx.exec("DELETE FROM remote_head WHERE did = ?", string(did)); err != nil {
		return fmt.Errorf("forgetting the head of a repo: %w", err)
	}
	return nil
}

// StaleRemoteHeads implements atproto.Tx.
func (tx *Tx) StaleRemoteHeads(after syntax.DID, limit int) ([]atproto.RemoteHead, error) {
	var out []atproto.RemoteHead
	err := tx.each("SELECT did, rev, data FROM remote_head WHERE stale = 1 AND did > ? ORDER BY did LIMIT ?", []any{string(after), limit},
		func(scan func(...any) error) error {
			h := atproto.RemoteHead{Stale: true}
			if err := scan(&h.DID, &h.Rev, &h.Data); err != nil {
				return err
			}
			out = append(out, h)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("listing stale heads: %w", err)
	}
	return out, nil
}

// StaleAllRemoteHeads implements atproto.Tx.
func (tx *Tx) StaleAllRemoteHeads() error {
	if _, err := tx.exec("UPDATE remote_head SET stale = 1"); err != nil {
		return fmt.Errorf("marking all heads stale: %w", err)
	}
	return nil
}

// ChatCursor implements atproto.Tx.
func (tx *Tx) ChatCursor(bot syntax.DID) (string, error) {
	var cursor string
	if _, err := tx.get("SELECT cursor FROM chat_cursor WHERE bot = ?", []any{string(bot)}, &cursor); err != nil {
		return "", fmt.Errorf("reading the chat cursor: %w", err)
	}
	return cursor, nil
}

// SetChatCursor implements atproto.Tx.
func (tx *Tx) SetChatCursor(bot syntax.DID, cursor string) error {
	_, err := tx.exec("INSERT INTO chat_cursor (bot, cursor) VALUES (?, ?) ON CONFLICT (bot) DO UPDATE SET cursor = excluded.cursor", string(bot), cursor)
	if err != nil {
		return fmt.Errorf("moving the chat cursor: %w", err)
	}
	return nil
}

// OAuthBlob implements atproto.Tx.
func (tx *Tx) OAuthBlob(key string) ([]byte, error) {
	var blob []byte
	ok, err := tx.get("SELECT blob FROM oauth_blob WHERE name = ? AND expires > ?", []any{key, tx.now.UnixMicro()}, &blob)
	if err != nil {
		return nil, fmt.Errorf("reading a sign-in: %w", err)
	}
	if !ok {
		return nil, atproto.ErrNotFound
	}
	return blob, nil
}

// PutOAuthBlob implements atproto.Tx.
func (tx *Tx) PutOAuthBlob(key string, blob []byte, expires int64) error {
	_, err := tx.exec(`INSERT INTO oauth_blob (name, blob, expires) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET blob = excluded.blob, expires = excluded.expires`, key, blob, expires)
	if err != nil {
		return fmt.Errorf("keeping a sign-in: %w", err)
	}
	return nil
}

// DeleteOAuthBlob implements atproto.Tx.
func (tx *Tx) DeleteOAuthBlob(key string) error {
	if _, err := tx.exec("DELETE FROM oauth_blob WHERE name = ?", key); err != nil {
		return fmt.Errorf("deleting a sign-in: %w", err)
	}
	return nil
}

// OAuthSweep implements atproto.Tx.
func (tx *Tx) OAuthSweep() error {
	if _, err := tx.exec("DELETE FROM oauth_blob WHERE expires <= ?", tx.now.UnixMicro()); err != nil {
		return fmt.Errorf("sweeping old sign-ins: %w", err)
	}
	return nil
}
