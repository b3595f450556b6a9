// A package that grpc-go got after the version in Debian: tests/e2e/test_programs.py adds it.
package insecure

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"
)

type info struct{}

func (info) AuthType() string { return "insecure" }

type insecure struct{}

func NewCredentials() credentials.TransportCredentials { return insecure{} }

func (insecure) ClientHandshake(_ context.Context, _ string, link net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return link, info{}, nil
}

func (insecure) ServerHandshake(link net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return link, info{}, nil
}

func (insecure) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

func (i insecure) Clone() credentials.TransportCredentials { return i }

func (insecure) OverrideServerName(string) error { return nil }
