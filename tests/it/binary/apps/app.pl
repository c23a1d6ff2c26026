use strict;
use IO::Socket::INET;

$| = 1;
my $server = IO::Socket::INET->new(
    LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT}, Listen => 128, ReuseAddr => 1, Proto => 'tcp',
) or die "cannot listen: $!";
print "listening as {{text}}\n";
while (my $visitor = $server->accept) {
    my ($method, $path) = split ' ', (<$visitor> // next);
    while (defined(my $line = <$visitor>)) { last if $line =~ /^\r?$/ }
    print "serving $path\n";
    exit 3 if $path eq '/crash';
    my $body = "{{text}} says $ENV{GREETING} on $ENV{DYNO}\n";
    print $visitor "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
    close $visitor;
}
