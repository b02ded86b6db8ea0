import CKernels
import Foundation
import Synchronization
import Testing

/// What the callback counts into: one slot for each index.
private final class Tally: @unchecked Sendable {  // each index is written by the one worker that owns it
  let slots: UnsafeMutablePointer<Int32>
  let workers: UnsafeMutablePointer<Int32>
  let count: Int
  init(_ count: Int) {
    self.count = count
    slots = .allocate(capacity: count)
    slots.initialize(repeating: 0, count: count)
    workers = .allocate(capacity: count)
    workers.initialize(repeating: 0, count: count)
  }
  deinit {
    slots.deallocate()
    workers.deallocate()
  }
  func run() {
    retort_parallel_for(
      count,
      { context, index, worker in
        guard let context else { return }
        let tally = Unmanaged<Tally>.fromOpaque(context).takeUnretainedValue()
        tally.slots[index] += 1
        tally.workers[index] = worker
      }, Unmanaged.passUnretained(self).toOpaque())
  }
}

@Suite(.serialized) struct PoolTests {
  @Test("every index runs once on a worker that exists, for any number of threads")
  func coverage() {
    let before = retort_pool_threads()
    defer { retort_pool_set_threads(before) }
    for threads: Int32 in [1, 2, 3, 5, 2, 64, 1] {
      #expect(retort_pool_set_threads(threads) == threads)
      for count in [1, 2, 7, 1023] {
        let tally = Tally(count)
        for _ in 0..<20 { tally.run() }
        #expect((0..<count).allSatisfy { tally.slots[$0] == 20 && tally.workers[$0] >= 0 && tally.workers[$0] < 64 })
      }
    }
    #expect(retort_pool_set_threads(0) == 1)
    #expect(retort_pool_set_threads(1000) == 64)
  }

  @Test("calls from several tasks at once all finish")
  func callers() async {
    let before = retort_pool_threads()
    retort_pool_set_threads(3)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let tally = Tally(97)
          for _ in 0..<100 { tally.run() }
          return (0..<97).allSatisfy { tally.slots[$0] == 100 }
        }
      }
      for await complete in group { #expect(complete) }
    }
    retort_pool_set_threads(before)
  }

  @Test("a thread that keeps to itself runs its calls alone until it does no more", .timeLimit(.minutes(1)))
  func alone() {
    let before = retort_pool_threads()
    defer { retort_pool_set_threads(before) }
    retort_pool_set_threads(3)
    #expect(retort_pool_alone(1) == 0)
    let tally = Tally(1023)
    for _ in 0..<1_000 {
      tally.run()
      guard (0..<tally.count).allSatisfy({ tally.workers[$0] == 0 }) else {
        Issue.record("another thread took part")
        break
      }
    }
    #expect(retort_pool_alone(1) == 1)
    #expect(retort_pool_alone(0) == 1)
    // Sooner or later a worker is there before the caller has done all.
    while (0..<tally.count).allSatisfy({ tally.workers[$0] == 0 }) {
      retort_pool_set_threads(3)
      tally.run()
    }
  }

  /// A call whose first index does not end before all others have, or half a minute has passed.
  final class Delay: Sendable {
    let count = 64
    let others = Atomic<Int>(0)
    func run() {
      retort_parallel_for(
        count,
        { context, index, _ in
          guard let context else { return }
          let delay = Unmanaged<Delay>.fromOpaque(context).takeUnretainedValue()
          let end = ContinuousClock.now + .seconds(30)
          if index > 0 {
            delay.others.add(1, ordering: .sequentiallyConsistent)
          } else {
            while delay.others.load(ordering: .sequentiallyConsistent) < delay.count - 1, ContinuousClock.now < end {}
          }
        }, Unmanaged.passUnretained(self).toOpaque())
    }
  }

  @Test("who is done takes over what a thread that is held up has left", .timeLimit(.minutes(5)))
  func takingOver() {
    let before = retort_pool_threads()
    defer { retort_pool_set_threads(before) }
    for threads: Int32 in [2, 3] {
      retort_pool_set_threads(threads)
      let (start, delay) = (ContinuousClock.now, Delay())
      delay.run()
      #expect(delay.others.load(ordering: .sequentiallyConsistent) == delay.count - 1)
      #expect(ContinuousClock.now - start < .seconds(25))
    }
  }

  /// A call of the pool that does not end before another call has ended, or half a minute has passed.
  final class Stay: Sendable {
    let began = Atomic<Bool>(false)
    let mayEnd = Atomic<Bool>(false)
    func run() {
      retort_parallel_for(
        4,
        { context, _, _ in
          guard let context else { return }
          let stay = Unmanaged<Stay>.fromOpaque(context).takeUnretainedValue()
          stay.began.store(true, ordering: .sequentiallyConsistent)
          let end = ContinuousClock.now + .seconds(30)
          while !stay.mayEnd.load(ordering: .sequentiallyConsistent), ContinuousClock.now < end {}
        }, Unmanaged.passUnretained(self).toOpaque())
    }
  }

  @Test("a call does not wait for a long one of another thread", .timeLimit(.minutes(5)))
  func independence() async {
    let before = retort_pool_threads()
    defer { retort_pool_set_threads(before) }
    retort_pool_set_threads(2)
    let stay = Stay()
    let thread = Thread { stay.run() }
    thread.start()
    while !stay.began.load(ordering: .sequentiallyConsistent) { await Task.yield() }
    let (start, tally) = (ContinuousClock.now, Tally(97))
    for _ in 0..<100 { tally.run() }
    #expect((0..<97).allSatisfy { tally.slots[$0] == 100 })
    #expect(ContinuousClock.now - start < .seconds(25))
    stay.mayEnd.store(true, ordering: .sequentiallyConsistent)
    while !thread.isFinished { await Task.yield() }
  }

  @Test("a level that this machine lacks is not selected")
  func levels() {
    let before = retort_kernels_level()
    defer { retort_kernels_select(before) }
    #expect(retort_kernels_select(RETORT_LEVEL_PORTABLE) == RETORT_LEVEL_PORTABLE)
    let best = retort_kernels_best()
    if best.rawValue < RETORT_LEVEL_AVX512.rawValue {
      #expect(retort_kernels_select(RETORT_LEVEL_AVX512) != RETORT_LEVEL_AVX512)
    }
    #expect(retort_kernels_select(best) == best)
  }
}
