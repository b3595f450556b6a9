package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"slices"
	"strconv"
	"time"
)

const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameWindow = 0, 1, 3, 4, 6, 7, 8

	endStream, ack, endHeaders = 1, 1, 4
	maxWindow                  = 1<<31 - 1
	tableSize                  = 4096 // of HPACK, by default
)

// connect opens a connection; all its calls must be done within the timeout.
func connect(kind, address, method, authorization string, timeout time.Duration) *client {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(timeout))
	c := &client{conn: conn, latencies: make([]float64, 0, 1<<16)}
	reader := bufio.NewReaderSize(conn, 1<<16)
	if kind == "json" {
		headers := " HTTP/1.1\r\nHost: " + address + "\r\nAccept: application/json\r\n"
		if authorization != "" {
			headers += "Authorization: " + authorization + "\r\n"
		}
		c.protocol = &http1{conn: conn, reader: reader, tail: headers + "\r\n"}
		return c
	}
	h := &http2{conn: conn, reader: reader}
	if err := h.greet(address, method, authorization); err != nil {
		log.Fatalf("no HTTP/2: %v", err)
	}
	c.protocol = h
	return c
}

// http1 sends GETs whose message is the path.
type http1 struct {
	conn   net.Conn
	reader *bufio.Reader
	tail   string // what follows the path
	buffer []byte
}

func (h *http1) write(path []byte) error {
	h.buffer = append(append(append(h.buffer[:0], "GET "...), path...), h.tail...)
	_, err := h.conn.Write(h.buffer)
	return err
}

func (h *http1) read() (bool, error) {
	line, err := h.reader.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	succeeded, length := bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")), -1
	if !succeeded {
		log.Printf("%s", bytes.TrimSpace(line))
	}
	for len(line) > 2 {
		if line, err = h.reader.ReadSlice('\n'); err != nil {
			return false, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	if length < 0 {
		return false, errors.New("an answer without content-length")
	}
	_, err = h.reader.Discard(length)
	return succeeded && length > 0, err
}

// http2 sends gRPC calls. Later header blocks are indices into HPACK's table, as of a usual client.
type http2 struct {
	conn         net.Conn
	reader       *bufio.Reader
	first, later []byte
	stream       uint32
	received     uint32
	buffer       []byte
}

func frame(to []byte, kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	to = append(to, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return append(binary.BigEndian.AppendUint32(to, stream), payload...)
}

func (h *http2) greet(authority, method, authorization string) error {
	hello := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	hello = frame(hello, frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, maxWindow)...)
	hello = frame(hello, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, maxWindow-65535)...)
	if _, err := h.conn.Write(hello); err != nil {
		return err
	}
	kind, _, _, payload, err := h.next()
	if err != nil || kind != frameSettings {
		return fmt.Errorf("no settings: %w", err)
	}
	size := uint32(tableSize)
	for ; len(payload) >= 6; payload = payload[6:] {
		if binary.BigEndian.Uint16(payload) == 1 {
			size = binary.BigEndian.Uint32(payload[2:])
		}
	}
	block := []byte{0x83, 0x86} // POST, http
	fields := []struct{ prefix, value string }{
		{"\x44", method}, {"\x41", authority}, {"\x5f", "application/grpc"}, {"\x40\x02te", "trailers"},
	}
	for _, field := range fields {
		block = append(append(append(block, field.prefix...), byte(len(field.value))), field.value...)
	}
	h.first, h.later = block, []byte{0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62}
	if size < tableSize {
		h.first = append(integer(nil, 0x20, 5, size), block...) // a table size update (RFC 7541, section 6.3)
	}
	if size < 256 { // the four fields do not fit
		h.later = block
	}
	if authorization != "" {
		h.first = append(slices.Clone(h.first), secret(authorization)...)
		h.later = append(slices.Clone(h.later), secret(authorization)...)
	}
	h.stream = ^uint32(0)
	_, err = h.conn.Write(frame(nil, frameSettings, ack, 0))
	return err
}

// integer appends a number whose first byte has `bits` bits for it (RFC 7541, section 5.1).
func integer(to []byte, first byte, bits int, number uint32) []byte {
	limit := uint32(1)<<bits - 1
	if number < limit {
		return append(to, first|byte(number))
	}
	to = append(to, first|byte(limit))
	for number -= limit; number > 0x7f; number >>= 7 {
		to = append(to, byte(number)|0x80)
	}
	return append(to, byte(number))
}

// secret is the header `authorization`, entry 23 of the static table, as a literal that is never indexed.
func secret(value string) []byte {
	return append(integer(integer(nil, 0x10, 4, 23), 0, 7, uint32(len(value))), value...)
}

func (h *http2) write(message []byte) error {
	block := h.later
	if h.stream += 2; h.stream == 1 {
		block = h.first
	}
	h.buffer = frame(h.buffer[:0], frameHeaders, endHeaders, h.stream, block...)
	n := len(message) + 5
	h.buffer = append(h.buffer, byte(n>>16), byte(n>>8), byte(n), frameData, endStream)
	h.buffer = binary.BigEndian.AppendUint32(h.buffer, h.stream)
	h.buffer = append(binary.BigEndian.AppendUint32(append(h.buffer, 0), uint32(len(message))), message...)
	_, err := h.conn.Write(h.buffer)
	return err
}

// read returns at the end of the open call. It succeeded if it had a message.
func (h *http2) read() (succeeded bool, err error) {
	for {
		kind, flags, stream, payload, err := h.next()
		if err != nil {
			return false, err
		}
		switch {
		case kind == frameGoAway:
			return false, errors.New("the server sent GOAWAY")
		case kind == frameSettings && flags&ack == 0:
			_, err = h.conn.Write(frame(nil, frameSettings, ack, 0))
		case kind == framePing && flags&ack == 0:
			_, err = h.conn.Write(frame(nil, framePing, ack, 0, payload...))
		case kind == frameReset && stream == h.stream:
			return false, nil
		case (kind == frameData || kind == frameHeaders) && stream == h.stream:
			succeeded = succeeded || kind == frameData && len(payload) > 0
			if flags&endStream != 0 {
				return succeeded, nil
			}
		}
		if err != nil {
			return false, err
		}
	}
}

// next returns the next frame. The payload is valid until the next call.
func (h *http2) next() (kind, flags byte, stream uint32, payload []byte, err error) {
	head, err := h.reader.Peek(9)
	if err != nil {
		return
	}
	length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
	kind, flags, stream = head[3], head[4], binary.BigEndian.Uint32(head[5:])
	_, _ = h.reader.Discard(9)
	if payload, err = h.reader.Peek(length); err != nil { // frames have at most 16 KiB
		return
	}
	_, _ = h.reader.Discard(length)
	if h.received += uint32(length); h.received > 1<<30 {
		_, err = h.conn.Write(frame(nil, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, h.received)...))
		h.received = 0
	}
	return
}
