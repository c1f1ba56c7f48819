/* Changes a live setting of a running pipeline: the control protocol of docs/protocol.md in C.
 *   cc -O2 -o set set.c -lzmq
 *   ./set RUN_FOLDER NODE NAME NUMBER       such as: ./set "$RUN" mix inputs.vocals.gain_db -6 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static unsigned char out[1024], *end = out;
static void byte(int b) { *end++ = (unsigned char)b; }
static void text(const char *s) { size_t n = strlen(s) & 255; byte(0xd9); byte((int)n); memcpy(end, s, n); end += n; }
static void pair(const char *key, const char *value) { text(key); text(value); }
static void real(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    byte(0xcb);
    for (int i = 56; i >= 0; i -= 8) byte((int)(bits >> i) & 255);
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: set RUN_FOLDER NODE NAME NUMBER\n"), 2;
    char path[512], token[64] = "", said[4096];
    snprintf(path, sizeof path, "%s/token", argv[1]);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(token, sizeof token, file)) return fprintf(stderr, "no token\n"), 1;
    fclose(file);
    snprintf(path, sizeof path, "ipc://%s/control", argv[1]);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    int wait_ms = 5000, linger_ms = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_connect(socket, path);
    byte(0x87); /* a map of 7 */
    text("v"), byte(2), text("id"), byte(1), text("value"), real(atof(argv[4]));
    pair("token", token), pair("op", "set"), pair("node", argv[2]), pair("name", argv[3]);
    zmq_send(socket, out, (size_t)(end - out), 0);
    int size = zmq_recv(socket, said, sizeof said - 8, 0), ok = 0;
    const char *why = "no answer"; /* else {id, ok: true, result} or {id, ok: false, error: text of up to 65 535 bytes} */
    if (size > (int)sizeof said - 8) size = (int)sizeof said - 8;
    if (size >= 0) memset(said + size, 0, sizeof said - (size_t)size), why = "not understood";
    for (int i = 0; i < size; i++) {
        if (!memcmp(said + i, "\xa2ok", 3)) ok = (unsigned char)said[i + 3] == 0xc3;
        if (!memcmp(said + i, "\xa5" "error", 6)) {
            const unsigned char kind = (unsigned char)said[i + 6]; /* a short text, or one with 1 or 2 bytes of length */
            why = said + i + (kind == 0xda ? 9 : kind == 0xd9 ? 8 : 7);
            break;
        }
    }
    if (ok) printf("ok\n");
    else fprintf(stderr, "%s\n", why);
    return zmq_close(socket) || zmq_ctx_term(context) || !ok;
}
