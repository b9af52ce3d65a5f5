/* The client against a TLS server of this test, with a certificate made for it. */
#include "http/testing.h"

#include "http/http_client.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <semaphore.h>
#include <signal.h>

#define CA_FILE DISPATCH_BINARY_DIR "/http_client_tls_test.pem"

struct tls_server {
    SSL_CTX *context;
    int listener;
    uint16_t port;
    int n_connections;
    pthread_t thread;
};

static X509 *certificate_make(EVP_PKEY *key, const char *address, long lives_s)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -1000);
    X509_gmtime_adj(X509_getm_notAfter(certificate), lives_s);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    char names[64];
    (void)snprintf(names, sizeof(names), "IP:%s", address);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static void file_write(X509 *certificate)
{
    FILE *file = fopen(CA_FILE, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
}

/* Echoes nothing: every request is answered with "pong", until the peer closes. */
static void *tls_serve(void *arg)
{
    struct tls_server *server = arg;
    for (int i = 0; i < server->n_connections; i++) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        socket_patience(fd);
        SSL *ssl = SSL_new(server->context);
        SSL_set_fd(ssl, fd);
        char bytes[4096];
        int n = SSL_accept(ssl);
        while (n > 0 && (n = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
            static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
            n = SSL_write(ssl, answer, sizeof(answer) - 1);
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static void tls_start(struct tls_server *server, const char *address, long lives_s, int n_connections)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_make(key, address, lives_s);
    file_write(certificate);
    server->context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server->context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    server->listener = raw_listen(&server->port);
    server->n_connections = n_connections;
    assert_int_equal(pthread_create(&server->thread, NULL, tls_serve, server), 0);
}

static void tls_end(struct tls_server *server)
{
    pthread_join(server->thread, NULL);
    SSL_CTX_free(server->context);
    close(server->listener);
    (void)unlink(CA_FILE);
}

struct outcome {
    sem_t done;
    struct http_result result;
};

static void on_done(void *arg, struct http_result *result)
{
    struct outcome *outcome = arg;
    outcome->result = *result;
    outcome->result.body = NULL;
    sem_post(&outcome->done);
}

static struct http_result post(struct http_client *client, uint16_t port)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
    struct outcome outcome = {0};
    sem_init(&outcome.done, 0, 0);
    struct http_post request = {
        .url = url, .timeout_ns = PATIENCE_S * NS_PER_S, .on_done = on_done, .arg = &outcome};
    assert_int_equal(http_client_post(client, &request, NULL), DR_OK);
    while (sem_wait(&outcome.done))
        ;
    sem_destroy(&outcome.done);
    return outcome.result;
}

static struct http_client *client_start(const char *ca_file)
{
    struct http_client *client = NULL;
    struct http_client_config config = {.ca_file = ca_file};
    assert_int_equal(http_client_create(&config, &client, NULL), DR_OK);
    return client;
}

static void speaks_tls_with_a_trusted_server_over_one_connection(void **state)
{
    (void)state;
    struct tls_server server;
    tls_start(&server, "127.0.0.1", 1000, 1);
    struct http_client *client = client_start(CA_FILE);
    for (int i = 0; i < 5; i++) {
        struct http_result result = post(client, server.port);
        if (result.outcome != HTTP_RESPONDED)
            fail_msg("%s: %s", http_outcome_name(result.outcome), result.message);
        assert_int_equal(result.len, 4);
    }
    http_client_destroy(client);
    tls_end(&server);
}

static void refuses_certificates_that_do_not_hold(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        long lives_s;
        const char *ca_file;
    } cases[] = {
        {"127.0.0.1", 1000, NULL},     /* nobody vouches for it */
        {"127.0.0.2", 1000, CA_FILE},  /* another host's */
        {"127.0.0.1", -100, CA_FILE},  /* expired */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_server server;
        tls_start(&server, cases[i].address, cases[i].lives_s, 1);
        struct http_client *client = client_start(cases[i].ca_file);
        struct http_result result = post(client, server.port);
        assert_int_equal(result.outcome, HTTP_TLS_FAILED);
        assert_true(result.message[0] != '\0');
        http_client_destroy(client);
        tls_end(&server);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* of the test's own server */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_tls_with_a_trusted_server_over_one_connection),
        cmocka_unit_test(refuses_certificates_that_do_not_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
