import torch

from fabricgen.carbon.form_fields import Field


def test_a_field_sums_its_map_part_by_part():
    field = Field([torch.ones(2, 3, 4), 2 * torch.ones(1, 3, 4)], lambda part: 3 * part)
    assert field.total.tolist() == [36, 36, 72]
    assert torch.equal(field.total, field.per_pixel.sum(dim=(1, 2)))


def test_a_cheaper_way_to_the_sum_is_taken_where_there_is_one():
    field = Field([torch.ones(2, 3, 4)], lambda part: part, lambda part: 5 * part[:, 0, 0])
    assert field.total.tolist() == [5, 5]
