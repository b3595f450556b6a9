// Functions that grpc-go got after the version in Debian: tests/e2e/test_programs.py adds them.
package grpc

func NewClient(target string, options ...DialOption) (*ClientConn, error) {
	return Dial(target, options...)
}
