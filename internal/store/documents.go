package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"weir/internal/catalog"
)

// document is how one kind is kept.
type document struct {
	parts  int  // of its key
	packed bool // compressed
	// plain is e without the pointer; ok is false for another type.
	plain  func(e catalog.Entry) (_ catalog.Entry, ok bool)
	decode func([]byte) (catalog.Entry, error)
}

func documentOf[T catalog.Entry](parts int, packed bool) document {
	return document{
		parts: parts, packed: packed,
		plain: func(e catalog.Entry) (catalog.Entry, bool) {
			if p, ok := any(e).(*T); ok && p != nil {
				return *p, true
			}
			_, ok := e.(T)
			return e, ok
		},
		decode: func(doc []byte) (catalog.Entry, error) {
			var v T
			err := json.Unmarshal(doc, &v)
			return v, err
		},
	}
}

// kinds are the kinds kept as documents. A deployment holds a whole API and is
// never changed: it is worth packing.
var kinds = map[catalog.Kind]document{
	catalog.KindRestAPI:    documentOf[catalog.RestAPI](1, false),
	catalog.KindResource:   documentOf[catalog.Resource](2, false),
	catalog.KindAuthorizer: documentOf[catalog.Authorizer](2, false),
	catalog.KindDeployment: documentOf[catalog.Deployment](2, true),
	catalog.KindStage:      documentOf[catalog.Stage](2, false),
	catalog.KindUsagePlan:  documentOf[catalog.UsagePlan](1, false),
	catalog.KindFunction:   documentOf[catalog.Function](1, false),
	catalog.KindRole:       documentOf[catalog.Role](1, false),
}

// typed are the kinds that are kept in tables of their own, or are not kept. As
// documents they are only told to other nodes.
var typed = map[catalog.Kind]document{
	catalog.KindAPIKey:       documentOf[catalog.APIKey](1, false),
	catalog.KindUsagePlanKey: documentOf[catalog.UsagePlanKey](2, false),
	catalog.KindUsageGrant:   documentOf[catalog.UsageGrant](2, false),
}

// maxDocument bounds what one packed document may unpack to, in bytes.
const maxDocument = 512 << 20

// Small windows: the packer's memory stays with the process.
var packer = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // options above, nothing from outside
	}
	return e
})

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxDocument), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	return d
})

// frame begins every zstd frame, and no JSON text.
var frame = []byte{0x28, 0xb5, 0x2f, 0xfd}

func decodeDocument(kind catalog.Kind, key string, doc []byte) (catalog.Entry, error) {
	d, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("store: entries of kind %q cannot be kept", kind)
	}
	doc, err := unpacked(doc)
	if err != nil {
		return nil, fmt.Errorf("store: %s %s is damaged: %w", kind, key, err)
	}
	e, err := d.decode(doc)
	if err != nil {
		return nil, fmt.Errorf("store: %s %s is damaged: %w", kind, key, err)
	}
	return e, nil
}

func unpacked(doc []byte) ([]byte, error) {
	if !bytes.HasPrefix(doc, frame) {
		return doc, nil
	}
	return unpacker().DecodeAll(doc, nil)
}

// document reads one entry and its stored form; nil when there is none.
func (tx *Tx) document(kind catalog.Kind, key string) (catalog.Entry, []byte, error) {
	var doc []byte
	ok, err := tx.row("SELECT doc FROM entry WHERE kind = ? AND key = ?", []any{string(kind), key}, &doc)
	if !ok {
		return nil, nil, err
	}
	e, err := decodeDocument(kind, key, doc)
	return e, doc, err
}

func (tx *Tx) documents(kind catalog.Kind, parent string, yield func(catalog.Entry)) error {
	query, args := "SELECT key, doc FROM entry WHERE kind = ? ORDER BY key", []any{string(kind)}
	if parent != "" {
		// "0" is the byte after "/": everything that begins with "parent/".
		query = "SELECT key, doc FROM entry WHERE kind = ? AND key >= ? AND key < ? ORDER BY key"
		args = append(args, parent+"/", parent+"0")
	}
	return tx.rows(query, args, func(scan func(...any) error) error {
		var key string
		var doc []byte
		if err := scan(&key, &doc); err != nil {
			return err
		}
		e, err := decodeDocument(kind, key, doc)
		if err == nil {
			yield(e)
		}
		return err
	})
}

func (tx *Tx) putDocument(e catalog.Entry) error {
	d, ok := kinds[e.Kind()]
	if ok {
		e, ok = d.plain(e)
	}
	if !ok {
		return fmt.Errorf("store: entries of kind %q cannot be kept", e.Kind())
	}
	kind, key := e.Kind(), e.Key()
	parts := strings.Split(key, "/")
	if _, ok := joined(parts); !ok || len(parts) != d.parts {
		return fmt.Errorf("store: %q cannot be the key of a %s", key, kind)
	}
	doc, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("store: %s %s: %w", kind, key, err)
	}
	if d.packed {
		doc = packer().EncodeAll(doc, nil)
	}
	old, stored, err := tx.document(kind, key)
	if err != nil {
		return err
	}
	if bytes.Equal(stored, doc) {
		return nil
	}
	if err := tx.exec("INSERT INTO entry (kind, key, doc) VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET doc = excluded.doc",
		string(kind), key, doc); err != nil {
		return err
	}
	tx.changed(kind, key, old, e)
	return nil
}
