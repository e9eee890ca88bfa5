import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashSet;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The small job with Kafka Streams: three counters and a distinct count a user, an unlock at each threshold. */
public class Achievements {
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static class Data { public String artist; }

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static class Activity { public String id, type, subject, time; public Data data; }

  public record Unlock(String type, String user, String achievement, String earned_at, String event_id) {}

  static class Stats { final int[] counts = new int[3]; final HashSet<String> artists = new HashSet<>(); }

  static final ObjectMapper JSON = new ObjectMapper();
  static final Set<Integer> THRESHOLDS = Set.of(1, 5, 10, 25, 50, 100);
  static final String[] METRICS = {"songs_released", "projects_created", "logins", "artists"};

  static <T> Serde<T> json(Class<T> type) {
    return Serdes.serdeFrom(
        (topic, value) -> {
          try { return JSON.writeValueAsBytes(value); } catch (IOException e) { throw new UncheckedIOException(e); }
        },
        (topic, bytes) -> {
          try { return JSON.readValue(bytes, type); } catch (IOException e) { throw new UncheckedIOException(e); }
        });
  }

  static final Serde<Stats> STATS = Serdes.serdeFrom(
      (topic, stats) -> stats == null ? null : write(stats), (topic, bytes) -> bytes == null ? null : read(bytes));

  static byte[] write(Stats stats) {
    try {
      var bytes = new ByteArrayOutputStream(256);
      var out = new DataOutputStream(bytes);
      for (int count : stats.counts) out.writeInt(count);
      out.writeInt(stats.artists.size());
      for (String artist : stats.artists) out.writeUTF(artist);
      return bytes.toByteArray();
    } catch (IOException e) { throw new UncheckedIOException(e); }
  }

  static Stats read(byte[] bytes) {
    try {
      var in = new DataInputStream(new ByteArrayInputStream(bytes));
      var stats = new Stats();
      for (int k = 0; k < 3; k++) stats.counts[k] = in.readInt();
      for (int k = in.readInt(); k > 0; k--) stats.artists.add(in.readUTF());
      return stats;
    } catch (IOException e) { throw new UncheckedIOException(e); }
  }

  static class Fold implements Processor<String, Activity, String, Unlock> {
    ProcessorContext<String, Unlock> context;
    KeyValueStore<String, Stats> store;

    @Override public void init(ProcessorContext<String, Unlock> context) {
      this.context = context;
      store = context.getStateStore("stats");
    }

    @Override public void process(Record<String, Activity> record) {
      Activity event = record.value();
      int metric = switch (event.type) {
        case "song_released" -> 0;
        case "project_created" -> 1;
        case "login" -> 2;
        case "song_played" -> 3;
        default -> -1;
      };
      if (metric < 0) return;
      Stats stats = store.get(record.key());
      if (stats == null) stats = new Stats();
      int value;
      if (metric < 3) value = ++stats.counts[metric];
      else if (stats.artists.add(event.data.artist)) value = stats.artists.size();
      else return;
      store.put(record.key(), stats);
      if (THRESHOLDS.contains(value)) {
        var achievement = METRICS[metric] + "_" + value;
        var unlock = new Unlock("achievement_unlocked", record.key(), achievement, event.time, event.id);
        context.forward(record.withValue(unlock));
      }
    }
  }

  /** Arguments: application id, brokers, source, sink, processing guarantee, commit interval in ms, state folder. */
  public static void main(String[] said) {
    var settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, said[0]);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, said[1]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, said[4]);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, said[5]);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, said[6]);
    settings.put("auto.offset.reset", "earliest");
    var builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("stats"), Serdes.String(), STATS).withCachingEnabled());
    builder.stream(said[2], Consumed.with(Serdes.String(), json(Activity.class)))
        .process(Fold::new, "stats")
        .to(said[3], Produced.with(Serdes.String(), json(Unlock.class)));
    var streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
