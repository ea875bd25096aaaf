/*
 * What OpenSSL says of certificate chains, as a peer's chain is verified by
 * LuaSec. tls/verify_random_test.go asks it.
 *
 * Each request on stdin, all numbers big-endian:
 *
 *     u8  1: the peer is a client, 2: lsec_continue
 *     u8  security level
 *     u8  depth
 *     u32 seconds since 1970
 *     u8  how many trusted certificates, u8 how many of the peer's, leaf first
 *     each certificate: u32 length, DER
 *
 * Each answer on stdout is one line: "ok", "unreadable" (a certificate of the
 * peer's is none to OpenSSL), or the errors as "DEPTH TEXT|DEPTH TEXT".
 */
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLIENT = 1, CONTINUE = 2, MOST_BYTES = 1 << 20 };

static int go_on, errors;

static unsigned read_number(int bytes)
{
	unsigned n = 0;
	while (bytes--) {
		int c = getchar();
		if (c == EOF)
			exit(n ? 1 : 0);
		n = n << 8 | (unsigned)c;
	}
	return n;
}

/* NULL: OpenSSL cannot read it, or there is something behind it. */
static X509 *read_certificate(void)
{
	static unsigned char der[MOST_BYTES];
	unsigned size = read_number(4);
	if (size > sizeof der || fread(der, 1, size, stdin) != size)
		exit(1);
	const unsigned char *end = der;
	X509 *x = d2i_X509(NULL, &end, size);
	if (x && end != der + size) {
		X509_free(x);
		x = NULL;
	}
	return x;
}

static STACK_OF(X509) *read_certificates(unsigned n, int *unreadable)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	while (n--) {
		X509 *x = read_certificate();
		if (x)
			sk_X509_push(list, x);
		else
			*unreadable = 1;
	}
	return list;
}

static int note_error(int ok, X509_STORE_CTX *ctx)
{
	if (ok)
		return 1;
	int code = X509_STORE_CTX_get_error(ctx);
	printf("%s%d %s", errors++ ? "|" : "", X509_STORE_CTX_get_error_depth(ctx), X509_verify_cert_error_string(code));
	return go_on;
}

static void verify(STACK_OF(X509) *trusted, STACK_OF(X509) *chain, unsigned flags, int level, int depth, time_t now)
{
	X509_STORE *store = X509_STORE_new();
	for (int i = 0; i < sk_X509_num(trusted); i++)
		X509_STORE_add_cert(store, sk_X509_value(trusted, i));
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain);
	X509_STORE_CTX_set_default(ctx, flags & CLIENT ? "ssl_client" : "ssl_server");
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_auth_level(param, level);
	X509_VERIFY_PARAM_set_depth(param, depth);
	X509_VERIFY_PARAM_set_time(param, now);
	X509_STORE_CTX_set_verify_cb(ctx, note_error);
	go_on = (flags & CONTINUE) != 0;
	errors = 0;
	X509_verify_cert(ctx);
	int code = X509_STORE_CTX_get_error(ctx);
	if (!errors && code != X509_V_OK)
		printf("%d %s", X509_STORE_CTX_get_error_depth(ctx), X509_verify_cert_error_string(code));
	puts(!errors && code == X509_V_OK ? "ok" : "");
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
}

int main(void)
{
	for (;;) {
		int c = getchar();
		if (c == EOF)
			return 0;
		int level = (int)read_number(1), depth = (int)read_number(1), unreadable = 0, ignored = 0;
		time_t now = (time_t)read_number(4);
		unsigned roots = read_number(1), peers = read_number(1);
		STACK_OF(X509) *trusted = read_certificates(roots, &ignored);
		STACK_OF(X509) *chain = read_certificates(peers, &unreadable);
		if (unreadable || sk_X509_num(chain) == 0)
			puts("unreadable");
		else
			verify(trusted, chain, (unsigned)c, level, depth, now);
		fflush(stdout);
		sk_X509_pop_free(trusted, X509_free);
		sk_X509_pop_free(chain, X509_free);
	}
}
