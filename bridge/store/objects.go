package store

import (
	"fmt"
	"strings"
	"time"

	"footbridge/bridge"
	"footbridge/identity"
)

const objectColumns = "apid, part, uri, cid, native, subject, kind, target, ledger, body, record, version, created, updated, deleted"

// Seen implements bridge.ObjectTx.
func (tx *Tx) Seen(id string) (bool, error) {
	n, err := tx.exec("INSERT INTO seen (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", id, tx.now.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("recording what was seen: %w", err)
	}
	return n == 1, nil
}

// SweepSeen implements bridge.ObjectTx.
func (tx *Tx) SweepSeen(t time.Time) error {
	tx.wipe()
	_, err := tx.exec("DELETE FROM seen WHERE at < ?", t.UnixMicro())
	return err
}

// AccountByURL implements bridge.ObjectTx.
func (tx *Tx) AccountByURL(url string) (*identity.Account, error) {
	return tx.accountWhere("url = ?", url)
}

// ObjectsByAPID implements bridge.ObjectTx.
func (tx *Tx) ObjectsByAPID(apid string) ([]bridge.Object, error) {
	return tx.objects("WHERE apid = ? ORDER BY part", apid)
}

// ObjectByURI implements bridge.ObjectTx.
func (tx *Tx) ObjectByURI(uri string) (*bridge.Object, error) {
	found, err := tx.objects("WHERE uri = ?", uri)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, bridge.ErrNoObject
	}
	return &found[0], nil
}

// ObjectsOf implements bridge.ObjectTx.
func (tx *Tx) ObjectsOf(subject identity.Subject, before time.Time, limit int) ([]bridge.Object, error) {
	return tx.objects("WHERE subject = ? AND deleted = 0 AND created < ? ORDER BY created DESC, apid LIMIT ?", string(subject), beforeMicros(before), limit)
}

// ObjectsOfKind implements bridge.ObjectTx.
func (tx *Tx) ObjectsOfKind(subject identity.Subject, kind string, before time.Time, limit int) ([]bridge.Object, error) {
	return tx.objects("WHERE subject = ? AND kind = ? AND deleted = 0 AND created < ? ORDER BY created DESC, apid LIMIT ?",
		string(subject), kind, beforeMicros(before), limit)
}

// ObjectsAt implements bridge.ObjectTx.
func (tx *Tx) ObjectsAt(target, kind string, limit int) ([]bridge.Object, error) {
	return tx.objects("WHERE target = ? AND kind = ? AND deleted = 0 ORDER BY created LIMIT ?", target, kind, limit)
}

// ObjectPaths implements bridge.ObjectTx.
func (tx *Tx) ObjectPaths(subject identity.Subject) (map[string]string, error) {
	paths := map[string]string{}
	err := tx.each("SELECT uri, cid FROM object WHERE subject = ? AND native = 'at' AND kind <> 'profile' AND deleted = 0", []any{string(subject)},
		func(scan func(...any) error) error {
			var uri, cid string
			if err := scan(&uri, &cid); err != nil {
				return err
			}
			if path, ok := strings.CutPrefix(uri, "at://"+string(subject)+"/"); ok {
				paths[path] = cid
			}
			return nil
		})
	return paths, err
}

// CountObjects implements bridge.ObjectTx.
func (tx *Tx) CountObjects(kind string) (n int, err error) {
	_, err = tx.get("SELECT COUNT(*) FROM object WHERE kind = ? AND deleted = 0", []any{kind}, &n)
	return n, err
}

func beforeMicros(t time.Time) int64 {
	if t.IsZero() {
		return 1 << 62
	}
	return t.UnixMicro()
}

func (tx *Tx) objects(where string, args ...any) ([]bridge.Object, error) {
	var out []bridge.Object
	err := tx.each("SELECT "+objectColumns+" FROM object "+where, args, func(scan func(...any) error) error {
		var o bridge.Object
		var created, updated, deleted int64
		if err := scan(&o.APID, &o.Part, &o.URI, &o.CID, &o.Native, &o.Subject, &o.Kind, &o.Target, &o.Ledger, &o.Body, &o.Record, &o.Version,
			&created, &updated, &deleted); err != nil {
			return err
		}
		o.Created, o.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		if deleted != 0 {
			o.Deleted = time.UnixMicro(deleted).UTC()
		}
		out = append(out, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the object map: %w", err)
	}
	return out, nil
}

// PutObject implements bridge.ObjectTx.
func (tx *Tx) PutObject(o bridge.Object) error {
	now := tx.now.UnixMicro()
	created := now
	if !o.Created.IsZero() {
		created = o.Created.UnixMicro()
	}
	var deleted int64
	if !o.Deleted.IsZero() {
		deleted = o.Deleted.UnixMicro()
	}
	_, err := tx.exec("INSERT INTO object ("+objectColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (apid, part) DO UPDATE SET uri = excluded.uri, cid = excluded.cid, native = excluded.native, subject = excluded.subject,
		kind = excluded.kind, target = excluded.target, ledger = excluded.ledger, body = excluded.body, record = excluded.record, version = CASE WHEN excluded.version = '' THEN object.version ELSE excluded.version END,
		updated = excluded.updated, deleted = excluded.deleted`,
		o.APID, o.Part, o.URI, o.CID, string(o.Native), string(o.Subject), o.Kind, o.Target, o.Ledger, o.Body, o.Record, o.Version, created, now, deleted)
	if err != nil {
		return fmt.Errorf("writing the object map: %w", err)
	}
	return nil
}

// TombstoneObject implements bridge.ObjectTx.
func (tx *Tx) TombstoneObject(apid, uri string, subject identity.Subject) error {
	now := tx.now.UnixMicro()
	n, err := tx.exec("UPDATE object SET deleted = ?, body = NULL, record = NULL, version = '' WHERE (apid = ? OR uri = ?) AND subject = ?", now, apid, uri, string(subject))
	if err != nil || n > 0 {
		return err
	}
	if uri == "" {
		uri = "tombstone:" + apid
	}
	_, err = tx.exec("INSERT INTO object ("+objectColumns+`) VALUES (?,0,?,'','',?,'tombstone','',0,NULL,NULL,'',?,?,?) ON CONFLICT DO NOTHING`,
		apid, uri, string(subject), now, now, now)
	return err
}

// ForgetObject implements bridge.ObjectTx.
func (tx *Tx) ForgetObject(apid string, part int) error {
	_, err := tx.exec("DELETE FROM object WHERE apid = ? AND part = ?", apid, part)
	return err
}

// ForgetObjects implements bridge.ObjectTx.
func (tx *Tx) ForgetObjects(subject identity.Subject) error {
	for _, table := range []string{"object", "outcome", "unbridged"} {
		if _, err := tx.exec("DELETE FROM "+table+" WHERE subject = ?", string(subject)); err != nil {
			return fmt.Errorf("forgetting rows of %s: %w", table, err)
		}
	}
	return nil
}

// Setting implements bridge.ObjectTx.
func (tx *Tx) Setting(name string) (value []byte, err error) {
	_, err = tx.get("SELECT value FROM setting WHERE name = ?", []any{name}, &value)
	return value, err
}

// PutSetting implements bridge.ObjectTx.
func (tx *Tx) PutSetting(name string, value []byte) error {
	if value == nil {
		_, err := tx.exec("DELETE FROM setting WHERE name = ?", name)
		return err
	}
	_, err := tx.exec("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// PutMessage implements bridge.ObjectTx.
func (tx *Tx) PutMessage(id string, subject identity.Subject, body []byte) error {
	_, err := tx.exec("INSERT INTO message (id, subject, body, created) VALUES (?,?,?,?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
		id, string(subject), body, tx.now.UnixMicro())
	return err
}

// Message implements bridge.ObjectTx.
func (tx *Tx) Message(id string) (body []byte, err error) {
	_, err = tx.get("SELECT body FROM message WHERE id = ?", []any{id}, &body)
	return body, err
}

// ForgetMessage implements bridge.ObjectTx.
func (tx *Tx) ForgetMessage(id string) error {
	_, err := tx.exec("DELETE FROM message WHERE id = ?", id)
	return err
}

// ForgetMessagesWith implements bridge.ObjectTx.
func (tx *Tx) ForgetMessagesWith(text string) error {
	where := "instr(body, ?) > 0"
	if tx.pg {
		where = "position(?::bytea IN body) > 0"
	}
	_, err := tx.exec("DELETE FROM message WHERE "+where, []byte(text))
	return err
}

// BuryObjects implements bridge.ObjectTx.
func (tx *Tx) BuryObjects(subject identity.Subject, limit int, name func(string) string) (int, error) {
	found, err := tx.objects("WHERE subject = ? ORDER BY apid, part LIMIT ?", string(subject), limit)
	if err != nil {
		return 0, err
	}
	for _, o := range found {
		if err := tx.Gone(name(o.APID)); err != nil {
			return 0, err
		}
		if err := tx.ForgetObject(o.APID, o.Part); err != nil {
			return 0, fmt.Errorf("burying an object: %w", err)
		}
	}
	return len(found), nil
}

// Gone implements bridge.ObjectTx.
func (tx *Tx) Gone(name string) error {
	_, err := tx.exec("INSERT INTO gone (name, at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, tx.now.UnixMicro())
	return err
}

// IsGone implements bridge.ObjectTx.
func (tx *Tx) IsGone(name string) (bool, error) {
	var one int
	return tx.get("SELECT 1 FROM gone WHERE name = ?", []any{name}, &one)
}

// SweepGone implements bridge.ObjectTx.
func (tx *Tx) SweepGone(before time.Time) error {
	_, err := tx.exec("DELETE FROM gone WHERE at < ?", before.UnixMicro())
	return err
}

// DeliveredMove implements bridge.ObjectTx.
func (tx *Tx) DeliveredMove(from, to string) error {
	if _, err := tx.exec("INSERT INTO delivered (owner, inbox) SELECT owner, ? FROM delivered WHERE inbox = ? ON CONFLICT (owner, inbox) DO NOTHING", to, from); err != nil {
		return fmt.Errorf("moving an inbox: %w", err)
	}
	_, err := tx.exec("DELETE FROM delivered WHERE inbox = ?", from)
	return err
}

// DropMessages implements bridge.ObjectTx.
func (tx *Tx) DropMessages(subject identity.Subject, before time.Time) error {
	if subject != "" {
		_, err := tx.exec("DELETE FROM message WHERE subject = ?", string(subject))
		return err
	}
	_, err := tx.exec("DELETE FROM message WHERE created < ?", before.UnixMicro())
	return err
}

// PendingJobs implements bridge.ObjectTx.
func (tx *Tx) PendingJobs(subject, kind string) (n int, err error) {
	_, err = tx.get("SELECT COUNT(*) FROM job WHERE bucket = ? AND bucket >= 0 AND subject = ? AND kind = ?", []any{bucket(subject), subject, kind}, &n)
	return n, err
}

// PutOutcome implements bridge.ObjectTx.
func (tx *Tx) PutOutcome(o bridge.Outcome) error {
	_, err := tx.exec(`INSERT INTO outcome (subject, source, kind, direction, result, reason, at) VALUES (?,?,?,?,?,?,?)
		ON CONFLICT (subject, source, kind) DO UPDATE SET result = excluded.result, reason = excluded.reason, at = excluded.at`,
		string(o.Subject), o.Source, o.Kind, o.Direction, o.Result, o.Reason, tx.now.UnixMicro())
	return err
}

// Outcomes implements bridge.ObjectTx.
func (tx *Tx) Outcomes(subject identity.Subject, limit int) ([]bridge.Outcome, error) {
	var out []bridge.Outcome
	err := tx.each("SELECT subject, source, kind, direction, result, reason, at FROM outcome WHERE subject = ? ORDER BY at DESC LIMIT ?",
		[]any{string(subject), limit}, func(scan func(...any) error) error {
			var o bridge.Outcome
			var at int64
			if err := scan(&o.Subject, &o.Source, &o.Kind, &o.Direction, &o.Result, &o.Reason, &at); err != nil {
				return err
			}
			o.At = time.UnixMicro(at).UTC()
			out = append(out, o)
			return nil
		})
	return out, err
}
